// A GGUF file, and the model config made of its metadata.
#include "sharding/checkpoint/formats.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  // Named as the one piece of a split file, so that metadata may say that it is.
  const std::string path = "m-00001-of-00001.gguf";
  testing::MemoryFiles files;
  files.content[path] = fuzz::text_of(data, bytes);
  return fuzz::one_input(path, [&] {
    (void)detect_gguf(files, path);
    fuzz::expect_invariants(open_gguf(files, path), files);
  });
}
