// A safetensors file that is a checkpoint of its own.
#include "sharding/checkpoint/formats.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string path = "m.safetensors";
  testing::MemoryFiles files;
  files.content[path] = fuzz::text_of(data, bytes);
  return fuzz::one_input(path, [&] {
    (void)detect_safetensors(files, path);
    fuzz::expect_invariants(open_safetensors(files, path), files);
  });
}
