// The params.json of a Meta checkpoint, beside two pieces of a model.
#include "tests/fuzz/fuzz.h"
#include "tests/sharding/checkpoint/torch/pickle_writer.h"
#include "tests/sharding/memory_files.h"

using namespace initrt;

namespace {

constexpr std::int64_t kElements = 64;

std::pair<std::string, std::string> matrix(std::string_view name, std::int64_t rows,
                                           std::int64_t columns) {
  const testing::PyTensor tensor{
      testing::py_storage("HalfStorage", "0", kElements), 0, {rows, columns}, {columns, 1}};
  return {testing::py_string(name), tensor.call()};
}

// The larger matrices of a model of width 8, whose feed-forward layer has 16 rows.
std::string piece() {
  const std::string tensors = testing::py_dict(
      {matrix("tok_embeddings.weight", 6, 4), matrix("output.weight", 3, 8),
       matrix("layers.0.attention.wq.weight", 4, 8), matrix("layers.0.attention.wo.weight", 8, 4),
       matrix("layers.0.feed_forward.w1.weight", 8, 8),
       matrix("layers.0.feed_forward.w2.weight", 8, 8)});
  return testing::torch_archive(testing::pickle(tensors), {std::string(2 * kElements, '\0')})
      .file();
}

testing::MemoryFiles directory() {
  testing::MemoryFiles files;
  for (const char* name : {"consolidated.00.pth", "consolidated.01.pth"}) {
    files.content[std::string("d/") + name] = piece();
  }
  return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  static testing::MemoryFiles files = directory();
  files.content["d/params.json"] = fuzz::text_of(data, bytes);
  return fuzz::one_input("d", [&] { fuzz::expect_invariants(open_checkpoint(files, "d"), files); });
}
