// initrt convert: any checkpoint as a Hugging Face directory of safetensors.
#include <cstdio>
#include <utility>

#include "launch/commands/commands.h"
#include "launch/output/log.h"
#include "sharding/human_bytes.h"

namespace initrt {

void convert(ConvertOptions options) {
  options.notices = log_notices();
  options.on_file = [](const std::string& file, std::uint64_t done, std::uint64_t all) {
    std::fprintf(stderr, "%s: %s of %s\n", file.c_str(), human_bytes(done).c_str(),
                 human_bytes(all).c_str());
  };
  convert_to_safetensors(options);
}

}  // namespace initrt
