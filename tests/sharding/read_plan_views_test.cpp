// Views of any shape and strides, and tensors in boxes, read as they are.
#include <gtest/gtest.h>

#include <algorithm>
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
using testing::stored_elements;

// As verify reads what is not converted: types of one to eight bytes, from every kind of view.
TEST(ReadPlan, ElementsAreReadAsTheyAreFromEveryView) {
  Rng rng(6);
  for (const DType dtype : {DType::F64, DType::F32, DType::F16, DType::F8_E4M3, DType::C64}) {
    for (int round = 0; round < testing::cases(60); ++round) {
      const RandomModel model = testing::random_views(rng, {dtype}, false);
      const Bindings bindings = bind(model.graph, model.catalog, false);
      for (std::size_t i = 0; i < model.graph.tensors.size(); ++i) {
        const Tensor& tensor = model.graph.tensors[i];
        const TensorEntry& entry =
            model.catalog.tensors[static_cast<std::size_t>(model.catalog.find(tensor.name))];
        const Bytes whole = stored_elements(model, entry);
        const std::uint64_t begin = between(rng, 0, tensor.elements() - 1);
        const std::uint64_t end = between(rng, begin + 1, tensor.elements());
        std::vector<std::pair<std::uint32_t, Piece>> pieces;
        plan_elements(tensor, bindings.tensors[i], model.catalog, begin, end, 0, entry.dtype,
                      pieces);
        const UnitReads reads = coalesce(std::move(pieces), 1000);
        Bytes read(bytes_of(entry.dtype, end - begin));
        for (const Read& one : reads.reads) {
          const auto source = std::span(model.files[one.file]).subspan(one.offset, one.bytes);
          (void)convert_read(reads, one, source, read.data());
        }
        const auto expected = std::span(whole).subspan(bytes_of(entry.dtype, begin), read.size());
        ASSERT_TRUE(std::equal(read.begin(), read.end(), expected.begin())) << name(entry.dtype);
      }
    }
  }
}

/// Elements [begin, end) of a stored tensor, all but its last dimension being rows, as they are.
Bytes read_stored(const Catalog& catalog, const std::vector<Bytes>& files, std::uint64_t begin,
                  std::uint64_t end, std::size_t most_pieces) {
  const TensorEntry& entry = catalog.tensors.front();
  Tensor tensor;
  tensor.vector = entry.shape.size() < 2;
  tensor.columns = tensor.vector ? 1 : entry.shape.back();
  tensor.rows = entry.elements() / tensor.columns;
  RowRun run;
  run.rows = tensor.rows;
  run.columns = tensor.columns;
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  plan_elements(tensor, {{run}}, catalog, begin, end, 0, entry.dtype, pieces);
  EXPECT_LE(pieces.size(), most_pieces);
  const UnitReads reads = coalesce(std::move(pieces), 1000);
  Bytes read(bytes_of(entry.dtype, end - begin));
  for (const Read& one : reads.reads) {
    const auto source = std::span(files[one.file]).subspan(one.offset, one.bytes);
    (void)convert_read(reads, one, source, read.data());
  }
  return read;
}

TEST(ReadPlan, BoxesOfAnyNumberOfDimensionsAreRead) {
  Rng rng(7);
  for (int round = 0; round < testing::cases(1000); ++round) {
    std::vector<Bytes> files(2);
    TensorEntry entry;
    entry.dtype = DType::U16;
    for (std::uint64_t d = between(rng, 1, 5); d > 0; --d)
      entry.shape.push_back(between(rng, 1, 5));
    testing::add_boxes(rng, entry, std::vector<std::uint64_t>(entry.shape.size(), 0), entry.shape,
                       static_cast<int>(between(rng, 0, 2)), files);
    Catalog catalog;
    for (Bytes& file : files) {
      for (std::byte& byte : file) byte = static_cast<std::byte>(rng());
      catalog.files.push_back({"file", file.size()});
    }
    catalog.tensors.push_back(std::move(entry));
    RandomModel model{{}, std::move(catalog), std::move(files)};
    const Bytes whole = stored_elements(model, model.catalog.tensors.front());
    const std::uint64_t begin = between(rng, 0, whole.size() / 2 - 1);
    const std::uint64_t end = between(rng, begin + 1, whole.size() / 2);
    const Bytes read = read_stored(model.catalog, model.files, begin, end, whole.size());
    ASSERT_TRUE(std::equal(read.begin(), read.end(),
                           whole.begin() + static_cast<std::ptrdiff_t>(2 * begin)))
        << "round " << round;
  }
}

TEST(ReadPlan, ARowOrAColumnIsOnePieceHoweverTheMatrixIsStored) {
  struct View {
    std::vector<std::uint64_t> shape, strides;
    std::uint64_t begin, end;
  };
  Rng rng(9);
  for (const View& c : {View{{2, 4096}, {1, 2}, 4100, 4200}, View{{4096, 1}, {3, 1}, 100, 300},
                        View{{4096}, {5}, 100, 300}, View{{4096}, {0}, 100, 300}}) {
    TensorEntry entry = testing::dense_entry("t", DType::U16, c.shape, 0, 0);
    entry.parts[0].strides = c.strides;
    Bytes file(entry.extent_bytes(entry.parts[0]));
    for (std::byte& byte : file) byte = static_cast<std::byte>(rng());
    const std::uint64_t columns = c.shape.size() < 2 ? 1 : c.shape[1];
    Catalog catalog;
    catalog.tensors.push_back(std::move(entry));
    const Bytes read = read_stored(catalog, {file}, c.begin, c.end, 1);
    for (std::uint64_t i = c.begin; i < c.end; ++i) {
      const std::uint64_t element =
          i / columns * c.strides[0] + (columns == 1 ? 0 : i % columns * c.strides[1]);
      ASSERT_EQ(std::memcmp(&read[2 * (i - c.begin)], &file[2 * element], 2), 0) << i;
    }
  }
}

// Experts are stacked so, convolutions have such shapes; blocks are counted over all dimensions.
TEST(ReadPlan, ATensorWithoutGapsIsOnePieceWhateverItsDimensions) {
  Rng rng(8);
  for (const std::vector<std::uint64_t>& shape :
       {std::vector<std::uint64_t>{3, 5, 64}, {2, 3, 4, 32}, {4096, 1, 1}, {1, 1, 64}, {2048}}) {
    for (const DType dtype : {DType::U8, DType::Q8_0}) {
      Catalog catalog;
      catalog.tensors.push_back(testing::dense_entry("t", dtype, shape, 0, 16));
      if (shape.back() % info(dtype).block_elements != 0) continue;
      const std::uint64_t elements = catalog.tensors.front().elements();
      Bytes file(16 + bytes_of(dtype, elements));
      for (std::byte& byte : file) byte = static_cast<std::byte>(rng());
      const std::uint64_t begin = elements / 2 / 32 * 32;
      const Bytes read = read_stored(catalog, {file}, begin, elements, 1);
      const auto expected = std::span(file).subspan(16 + bytes_of(dtype, begin));
      EXPECT_TRUE(std::equal(read.begin(), read.end(), expected.begin(), expected.end()));
    }
  }
}

}  // namespace
}  // namespace initrt
