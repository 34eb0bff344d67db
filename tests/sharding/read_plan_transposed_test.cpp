// Matrices that are stored as the transpose of what is wanted, and values that are stored moved.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "runtime/convert/convert.h"
#include "sharding/read_plan.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/stored_elements.h"

namespace initrt {
namespace {

using testing::between;
using testing::Bytes;
using testing::RandomModel;
using testing::Rng;

Bytes read_elements(const RandomModel& model, const Tensor& tensor, const Binding& binding,
                    std::uint64_t begin, std::uint64_t end, DType to) {
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  plan_elements(tensor, binding, model.catalog, begin, end, 0, to, pieces);
  const UnitReads reads = coalesce(std::move(pieces), 1000);
  Bytes read(bytes_of(to, end - begin));
  for (const Read& one : reads.reads) {
    const auto source = std::span(model.files[one.file]).subspan(one.offset, one.bytes);
    (void)convert_read(reads, one, source, read.data());
  }
  return read;
}

/// One matrix of random bits, in boxes with strides over two files.
RandomModel stored_matrix(Rng& rng, std::uint64_t rows, std::uint64_t columns) {
  RandomModel model;
  model.files.resize(2);
  TensorEntry entry;
  entry.dtype = DType::U16;
  entry.shape = {rows, columns};
  testing::add_boxes(rng, entry, {0, 0}, entry.shape, static_cast<int>(between(rng, 0, 2)),
                     model.files);
  for (Bytes& file : model.files) {
    for (std::byte& byte : file) byte = static_cast<std::byte>(rng());
    model.catalog.files.push_back({"file", file.size()});
  }
  model.catalog.tensors.push_back(std::move(entry));
  return model;
}

TEST(ReadPlan, TransposedMatricesAreReadFromEveryView) {
  Rng rng(11);
  for (int round = 0; round < 500; ++round) {
    const std::uint64_t rows = between(rng, 1, 90), columns = between(rng, 1, 90);
    const RandomModel model = stored_matrix(rng, columns, rows);
    const Bytes whole = testing::stored_elements(model, model.catalog.tensors.front());
    Tensor tensor;
    // Some of the rows and columns of the transpose, as fused matrices have them.
    const std::uint64_t skipped_rows = between(rng, 0, rows - 1);
    const std::uint64_t skipped_columns = between(rng, 0, columns - 1);
    tensor.rows = rows - skipped_rows;
    tensor.columns = columns - skipped_columns;
    RowRun run;
    run.rows = tensor.rows;
    run.source_row = skipped_rows;
    run.columns = tensor.columns;
    run.source_column = skipped_columns;
    run.transposed = true;
    const std::uint64_t begin = between(rng, 0, tensor.elements() - 1);
    const std::uint64_t end = between(rng, begin + 1, tensor.elements());
    const Bytes read = read_elements(model, tensor, {{run}}, begin, end, DType::U16);
    for (std::uint64_t i = begin; i < end; ++i) {
      const std::uint64_t row = skipped_rows + i / tensor.columns;
      const std::uint64_t column = skipped_columns + i % tensor.columns;
      ASSERT_EQ(std::memcmp(&read[2 * (i - begin)], &whole[2 * (column * rows + row)], 2), 0)
          << "round " << round << ", element " << i;
    }
  }
}

TEST(ReadPlan, MovedValuesAreMovedBackBeforeTheyAreNarrowed) {
  constexpr std::uint64_t kElements = 1000;
  RandomModel model;
  model.catalog.files.push_back({"file", kElements * 4});
  model.catalog.tensors.push_back(testing::dense_entry("t", DType::F32, {kElements}, 0, 0));
  Bytes& file = model.files.emplace_back(kElements * 4);
  std::vector<float> values(kElements);
  for (std::uint64_t i = 0; i < kElements; ++i) {
    // What bf16 holds exactly; 1 + it is rounded to float32 only.
    values[i] = static_cast<float>(i % 200 + 1) * (i % 2 == 0 ? 0x1p-12f : -0x1p-9f);
    const float moved = 1.0f + values[i];
    std::memcpy(&file[4 * i], &moved, 4);
  }
  Tensor tensor;
  tensor.vector = true;
  tensor.rows = kElements;
  RowRun run;
  run.rows = kElements;
  run.columns = 1;
  run.add = -1.0f;
  const Bytes read = read_elements(model, tensor, {{run}}, 3, kElements, DType::BF16);
  for (std::uint64_t i = 3; i < kElements; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, &read[2 * (i - 3)], 2);
    ASSERT_EQ(std::bit_cast<float>(std::uint32_t{bits} << 16), values[i]) << i;
  }
}

}  // namespace
}  // namespace initrt
