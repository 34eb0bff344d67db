// The index of a directory of two safetensors files, which share one tensor: where the index will
// not do, that is an error.
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

namespace {

testing::MemoryFiles directory() {
  testing::MemoryFiles files;
  files.content["dir/a.safetensors"] = testing::safetensors_file(
      R"({"embed": {"dtype": "BF16", "shape": [3, 8], "data_offsets": [0, 48]},)"
      R"("norm": {"dtype": "F32", "shape": [8], "data_offsets": [48, 80]}})",
      80);
  files.content["dir/b.safetensors"] = testing::safetensors_file(
      R"({"head": {"dtype": "F16", "shape": [3, 8], "data_offsets": [0, 48]},)"
      R"("norm": {"dtype": "F32", "shape": [8], "data_offsets": [48, 80]}})",
      80);
  return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  static testing::MemoryFiles files = directory();
  files.content["dir/model.safetensors.index.json"] = fuzz::text_of(data, bytes);
  return fuzz::one_input("dir",
                         [&] { fuzz::expect_invariants(open_checkpoint(files, "dir"), files); });
}
