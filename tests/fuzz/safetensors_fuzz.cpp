// A safetensors file that is a checkpoint of its own.
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/safetensors_header.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

constexpr FileSetReader kReader = {"safetensors", SharedBytes::Refused, read_safetensors_header};

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string path = "m.safetensors";
  testing::MemoryFiles files;
  files.content[path] = fuzz::text_of(data, bytes);
  return fuzz::one_input(path, [&] {
    (void)safetensors_candidates(files, path);
    fuzz::expect_invariants(open_file_set(files, kReader, path, "", {path, {path}, {}, {}}), files);
  });
}
