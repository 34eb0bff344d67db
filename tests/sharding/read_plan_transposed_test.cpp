// Matrices that are stored as the transpose of what is wanted, and values that are stored mapped.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/convert/convert.h"
#include "sharding/read_plan.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/stored_elements.h"
#include "tests/support/cases.h"

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
  for (int round = 0; round < testing::cases(500); ++round) {
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

// Reads a float32 vector into bf16 through a map, which has to give `values` back.
void expect_mapped_back(const ElementMap& map, const std::vector<float>& stored,
                        const std::vector<float>& values) {
  const std::uint64_t elements = stored.size();
  RandomModel model;
  model.catalog.files.push_back({"file", elements * 4});
  model.catalog.tensors.push_back(testing::dense_entry("t", DType::F32, {elements}, 0, 0));
  Bytes& file = model.files.emplace_back(elements * 4);
  std::memcpy(file.data(), stored.data(), file.size());
  Tensor tensor;
  tensor.vector = true;
  tensor.rows = elements;
  RowRun run;
  run.rows = elements;
  run.columns = 1;
  run.map = map;
  const Bytes read = read_elements(model, tensor, {{run}}, 3, elements, DType::BF16);
  for (std::uint64_t i = 3; i < elements; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, &read[2 * (i - 3)], 2);
    ASSERT_EQ(std::bit_cast<float>(std::uint32_t{bits} << 16), values[i]) << i;
  }
}

// Values are those that bf16 holds exactly; what is stored is rounded to float32 only.
TEST(ReadPlan, MovedValuesAreMovedBackBeforeTheyAreNarrowed) {
  std::vector<float> values, stored;
  for (int i = 0; i < 1000; ++i) {
    values.push_back(static_cast<float>(i % 200 + 1) * (i % 2 == 0 ? 0x1p-12f : -0x1p-9f));
    stored.push_back(1.0f + values.back());
  }
  expect_mapped_back({-1.0f}, stored, values);
}

TEST(ReadPlan, LogarithmsAreTakenOfPowersBeforeTheyAreNarrowed) {
  std::vector<float> values, stored;
  for (int i = 0; i < 1000; ++i) {
    values.push_back(static_cast<float>(i % 200 - 100) * 0x1p-5f);
    stored.push_back(-std::exp(values.back()));
  }
  expect_mapped_back({0, true}, stored, values);
}

/// One matrix of blocks whose numbers are finite.
RandomModel matrix_of_blocks(Rng& rng, DType dtype, std::uint64_t rows, std::uint64_t columns) {
  RandomModel model;
  model.catalog.tensors.push_back(testing::dense_entry("t", dtype, {rows, columns}, 0, 0));
  Bytes& file = model.files.emplace_back(model.catalog.tensors.front().bytes());
  for (std::byte& byte : file) byte = static_cast<std::byte>(rng() & 0xbf);
  model.catalog.files.push_back({"file", file.size()});
  return model;
}

std::vector<float> numbers_of(const RandomModel& model) {
  const TensorEntry& entry = model.catalog.tensors.front();
  std::vector<float> numbers(entry.elements());
  convert(model.files.front(), entry.dtype, 0, numbers.size(),
          reinterpret_cast<std::byte*>(numbers.data()), DType::F32);
  return numbers;
}

std::vector<float> read_numbers(const RandomModel& model, const Tensor& tensor,
                                const Binding& binding) {
  const Bytes read = read_elements(model, tensor, binding, 0, tensor.elements(), DType::F32);
  std::vector<float> numbers(tensor.elements());
  std::memcpy(numbers.data(), read.data(), read.size());
  return numbers;
}

constexpr DType kBlocks[] = {DType::Q8_0, DType::Q4_K, DType::MXFP4};

// As convert writes a matrix that a GGUF file has the other way round: some of its rows are columns
// that may be others' neighbours or not.
TEST(ReadPlan, BlocksOfATransposedMatrixAreReadAsWholeBlocks) {
  Rng rng(12);
  for (const DType dtype : kBlocks) {
    const std::uint64_t rows = 12, columns = 512;
    const RandomModel model = matrix_of_blocks(rng, dtype, rows, columns);
    const std::vector<float> numbers = numbers_of(model);
    const Tensor tensor{.name = "t", .rows = columns, .columns = rows};
    Binding together, apart;
    RowRun run{.rows = columns, .columns = rows, .transposed = true};
    together.runs = {run};
    run.columns = 1;
    for (std::uint64_t column = 0; column < rows; ++column) {
      run.column = column;
      run.source_column = column;
      apart.runs.push_back(run);
    }
    for (const Binding& binding : {together, apart}) {
      const std::vector<float> read = read_numbers(model, tensor, binding);
      for (std::uint64_t i = 0; i < read.size(); ++i) {
        ASSERT_EQ(read[i], numbers[i % rows * columns + i / rows]) << name(dtype) << ", " << i;
      }
    }
  }
}

// As GGUF files of Qwen3.5 have value heads: a block may hold columns of two of them.
TEST(ReadPlan, ColumnsInAnotherOrderAreReadFromThePartsOfBlocks) {
  Rng rng(13);
  constexpr std::uint64_t kRows = 3, kHeads = 8, kSize = 96;
  for (const DType dtype : kBlocks) {
    const RandomModel model = matrix_of_blocks(rng, dtype, kRows, kHeads * kSize);
    const std::vector<float> numbers = numbers_of(model);
    const Tensor tensor{.name = "t", .rows = kRows, .columns = kHeads * kSize};
    Binding binding;
    const auto place_of = [](std::uint64_t head) { return head % 4 * 2 + head / 4; };
    for (std::uint64_t head = 0; head < kHeads; ++head) {
      binding.runs.push_back({.rows = kRows,
                              .column = head * kSize,
                              .columns = kSize,
                              .source_column = place_of(head) * kSize});
    }
    const std::vector<float> read = read_numbers(model, tensor, binding);
    for (std::uint64_t i = 0; i < read.size(); ++i) {
      const std::uint64_t column = i % tensor.columns, in_head = column % kSize;
      ASSERT_EQ(read[i], numbers[i - column + place_of(column / kSize) * kSize + in_head])
          << name(dtype) << ", " << i;
    }
  }
}

}  // namespace
}  // namespace initrt
