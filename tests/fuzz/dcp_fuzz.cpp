// The .metadata of a distributed checkpoint, beside a file of four chunks.
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

namespace {

// make_corpus.py knows them by their places: each begins at a multiple of this.
constexpr std::size_t kChunkBytes = 1024;

std::string chunk(std::vector<std::int64_t> shape, std::vector<std::int64_t> strides) {
  const std::int64_t elements = shape.front() * strides.front();
  const testing::PyTensor tensor{testing::py_storage("FloatStorage", "0", elements), 0,
                                 std::move(shape), std::move(strides)};
  testing::ZipWriter zip = testing::torch_archive(
      testing::pickle(tensor.call()), {std::string(static_cast<std::size_t>(4 * elements), '\0')});
  zip.comment.resize(kChunkBytes - zip.file().size());
  return zip.file();
}

testing::MemoryFiles directory() {
  testing::MemoryFiles files;
  files.content["d/__0_0.distcp"] =
      chunk({2, 4}, {4, 1}) + chunk({2, 4}, {4, 1}) + chunk({1, 4}, {4, 1}) + chunk({3}, {1});
  return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  static testing::MemoryFiles files = directory();
  files.content["d/.metadata"] = fuzz::text_of(data, bytes);
  return fuzz::one_input("d", [&] { fuzz::expect_invariants(open_checkpoint(files, "d"), files); });
}
