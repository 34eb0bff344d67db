// Weights that are stored by columns, made in slabs of their columns: what ranks read, and that the
// rows which they make are those of the whole weight, bit by bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include "runtime/convert/batch.h"
#include "runtime/convert/convert.h"
#include "runtime/convert/dequantize.h"
#include "runtime/convert/quantize.h"
#include "sharding/read_plan.h"
#include "tests/sharding/checkpoint/quantized/quantized_ways.h"
#include "tests/sharding/random_model.h"
#include "tests/support/cases.h"

namespace initrt::testing {
namespace {

using Bytes = std::vector<std::byte>;

/// A weight of random codes in a file, and what ranks hold of it.
struct Case {
  Way way;
  Graph graph;
  Catalog catalog;
  Bindings bindings;
  Layout layout;
  Cut cut;
  ReadLimits limits;
  Bytes file;

  [[nodiscard]] const QuantizedWeight& weight() const {
    return *bindings.tensors[kWeight].quantized;
  }
  [[nodiscard]] WeightFormat format() const { return layout.units[0].params[0].format; }
  [[nodiscard]] std::span<const std::byte> bytes_of_part(const QuantComponent& part) const {
    const TensorEntry& tensor = catalog.tensors[part.tensor];
    return std::span(file).subspan(tensor.parts[0].offset, tensor.bytes());
  }
};

template <class T>
T pick(Rng& rng, std::initializer_list<T> of) {
  return std::data(of)[rng() % of.size()];
}

// Rows are a multiple of any rank's words, so that no word is two ranks'.
Way random_way(Rng& rng, std::uint32_t world) {
  const bool awq = rng() % 2 == 0;
  const std::uint64_t bits = awq ? 4 : pick<std::uint64_t>(rng, {2, 4, 8}), per_word = 32 / bits;
  Way way;
  way.rows = 16 * world * between(rng, 1, 400 / world);
  way.columns = awq ? between(rng, 1, 900) : per_word * between(rng, 1, 900 / per_word);
  const std::int64_t group = pick<std::int64_t>(rng, {8, 32, 48, 128, -1});
  const std::uint64_t block = group < 0 ? way.columns : static_cast<std::uint64_t>(group);
  const std::uint64_t groups = (way.columns + block - 1) / block;
  way.config = {{"quant_method", awq ? "awq" : "gptq"}, {"bits", bits}, {"group_size", group}};
  way.parts = {{"qweight",
                DType::I32,
                {awq ? way.columns : way.columns / per_word, awq ? way.rows / 8 : way.rows}},
               {"qzeros", DType::I32, {groups, way.rows / per_word}},
               {"scales", DType::F16, {groups, way.rows}}};
  if (!awq && rng() % 2 == 0) {
    way.config["desc_act"] = false;
    way.parts.push_back({"g_idx", DType::I32, {way.columns}});
  }
  return way;
}

void fill(Rng& rng, Case& c) {
  c.file.resize(c.catalog.files[0].bytes);
  for (std::byte& byte : c.file) byte = static_cast<std::byte>(rng());
  for (const QuantComponent& part : c.weight().components) {
    std::byte* const at = c.file.data() + c.catalog.tensors[part.tensor].parts[0].offset;
    for (std::uint64_t i = 0; part.role == QuantRole::Scales && i < part.rows * part.columns; ++i) {
      const auto half = static_cast<std::uint16_t>(0x2800 + rng() % 0x800);
      std::memcpy(at + i * sizeof half, &half, sizeof half);
    }
    for (std::uint64_t i = 0; part.role == QuantRole::GroupIndex && i < part.columns; ++i) {
      const auto group = static_cast<std::int32_t>(i / c.weight().block_columns);
      std::memcpy(at + i * sizeof group, &group, sizeof group);
    }
  }
}

Case make_case(Rng& rng, const Way& way, std::uint32_t world, WeightFormat format, DType dtype,
               std::uint64_t memory) {
  Case c;
  c.way = way;
  c.graph = graph_of(way.rows, way.columns);
  Unit unit;
  unit.params.push_back({kWeight, 0, way.rows});
  c.graph.units.push_back(unit);
  c.catalog = catalog_of(way.parts, way.config);
  c.bindings = bind(c.graph, c.catalog, false);
  Holding holding;
  holding.formats.assign(c.graph.tensors.size(), WeightFormat::Plain);
  holding.formats[kWeight] = format;
  c.layout = make_layout(c.graph, {"", dtype}, holding);
  c.cut = make_cut(c.layout, world);
  c.limits = {2 * memory, memory, memory};
  fill(rng, c);
  return c;
}

Case random_case(Rng& rng) {
  const auto world = pick<std::uint32_t>(rng, {1, 1, 2, 3, 7});
  const Way way = random_way(rng, world);
  // One after the other: compilers differ in the order of arguments.
  const auto format = pick(rng, {WeightFormat::Plain, WeightFormat::Nf4, WeightFormat::Int8});
  const auto dtype = pick(rng, {DType::F32, DType::BF16});
  const auto memory = pick<std::uint64_t>(rng, {16 << 10, 64 << 10, 1 << 20});
  return make_case(rng, way, world, format, dtype, memory);
}

/// All rows: codes, and behind them their scales.
struct Held {
  Bytes codes, scales;
};

// Made of the whole weight at once.
Held whole_weight(const Case& c) {
  const QuantizedWeight& weight = c.weight();
  std::vector<std::span<const std::byte>> boxes;
  for (const QuantComponent& part : weight.components) boxes.push_back(c.bytes_of_part(part));
  std::vector<float> values(weight.rows * weight.columns);
  dequantize_rows(weight, 0, weight.rows, boxes, values.data());
  Bytes rounded(bytes_of(c.layout.dtype, values.size()));
  convert(std::as_bytes(std::span(values)), DType::F32, 0, values.size(), rounded.data(),
          c.layout.dtype);
  if (c.format() == WeightFormat::Plain) return {rounded, {}};
  Held held{Bytes(weight.rows * row_bytes(c.format(), c.layout.dtype, weight.columns)),
            Bytes(weight.rows * scale_row_bytes(c.format(), weight.columns))};
  quantize_rows(c.format(), rounded, c.layout.dtype, weight.rows, weight.columns, held.codes.data(),
                held.scales.data());
  return held;
}

// Carries a rank's plan out, into the host's memory and through staging. @returns the shard
Bytes load(const Case& c, const UnitReads& plan, Rng& rng) {
  Bytes shard(c.cut.memory_bytes()), copied(shard.size());
  Bytes memory(c.limits.batch_bytes), other(memory.size());
  Bytes staging((c.way.columns + 64) * 8 + rng() % 20'000);
  std::uint64_t written = 0, written_to_copy = 0;
  const auto copy = [&](const MadeRows& rows) {
    for (std::uint64_t i = 0; i * rows.row_bytes < rows.bytes.size(); ++i) {
      std::memcpy(copied.data() + rows.to + i * rows.stride, rows.bytes.data() + i * rows.row_bytes,
                  rows.row_bytes);
    }
  };
  for (const ReadTask& task : plan.tasks) {
    std::ranges::fill(memory, std::byte{0xee});
    std::ranges::fill(other, std::byte{0xee});
    EXPECT_LE(divide_batch_memory(*task.batch).bytes, c.limits.batch_bytes);
    for (const Read& read : std::span(plan.reads).subspan(task.first_read, task.reads)) {
      EXPECT_LE(read.bytes, c.limits.batch_read_bytes);
      const auto bytes = std::span(c.file).subspan(read.offset, read.bytes);
      written += convert_batch_read(plan, task, read, bytes, memory, shard.data());
      written_to_copy += convert_batch_read(plan, task, read, bytes, other, staging, copy);
    }
  }
  EXPECT_TRUE(copied == shard);
  EXPECT_EQ(written, written_to_copy);
  return shard;
}

void expect_rows_of(const Case& c, const Held& whole, const Bytes& shard, std::uint32_t rank) {
  const auto [first, count] = c.cut.rows_of(0, 0, c.way.rows, rank);
  const ParamPlace& place = c.layout.units[0].params[0];
  const ParamCut& cut = c.cut.units[0].params[0];
  const std::byte* const chunk = shard.data() + c.cut.chunk_offset(0, rank);
  EXPECT_EQ(std::memcmp(chunk + cut.offset, whole.codes.data() + first * place.row_bytes,
                        count * place.row_bytes),
            0);
  if (whole.scales.empty()) return;
  EXPECT_EQ(
      std::memcmp(chunk + cut.scales_offset, whole.scales.data() + first * place.scale_row_bytes,
                  count * place.scale_row_bytes),
      0);
}

std::string describe(const Case& c) {
  return c.way.config.dump() + " [" + std::to_string(c.way.rows) + ", " +
         std::to_string(c.way.columns) + "] on " + std::to_string(c.cut.world) + " as " +
         std::string(name(c.format())) + " in " + std::to_string(c.limits.batch_bytes);
}

TEST(Slabs, MakeTheRowsOfTheWholeWeight) {
  Rng rng(5);
  int slabs = 0, parts_of_rows = 0;
  for (int i = 0; i < cases(40); ++i) {
    const Case c = random_case(rng);
    SCOPED_TRACE(describe(c));
    const Held whole = whole_weight(c);
    for (std::uint32_t rank = 0; rank < c.cut.world; ++rank) {
      const UnitReads plan =
          plan_reads(c.graph, c.layout, c.cut, c.bindings, c.catalog, 0, rank, c.limits);
      expect_rows_of(c, whole, load(c, plan, rng), rank);
      const RowBatch& first = *plan.tasks.front().batch;
      slabs += first.columns < first.width ? 1 : 0;
      parts_of_rows += first.rows < c.way.rows / c.cut.world ? 1 : 0;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(slabs, cases(20));
  EXPECT_GE(parts_of_rows, cases(5));
}

// Of fewer columns, a tile of the last slab has room for more rows: it may take more memory than
// the slabs before it.
TEST(Slabs, FitMemoryWhereTheLastIsTheLargest) {
  Rng rng(8);
  struct {
    std::uint64_t rows, columns;
    WeightFormat format;
    std::uint64_t memory;
  } const shapes[] = {{328, 21888, WeightFormat::Plain, 2 << 20},
                      {256, 26240, WeightFormat::Nf4, 2 << 20},
                      {64, 16512, WeightFormat::Plain, 512 << 10}};
  for (const auto& [rows, columns, format, memory] : shapes) {
    Way way{};
    way.rows = rows;
    way.columns = columns;
    way.config = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}};
    way.parts = {{"qweight", DType::I32, {columns / 8, rows}},
                 {"qzeros", DType::I32, {columns / 128, rows / 8}},
                 {"scales", DType::F16, {columns / 128, rows}}};
    const Case c = make_case(rng, way, 1, format, DType::BF16, memory);
    const UnitReads plan =
        plan_reads(c.graph, c.layout, c.cut, c.bindings, c.catalog, 0, 0, c.limits);
    EXPECT_GT(plan.tasks.size(), 1u);
    for (const ReadTask& task : plan.tasks) {
      EXPECT_LE(divide_batch_memory(*task.batch).bytes, memory) << rows << " x " << columns;
    }
  }
}

// How often elements of all ranks' pieces are each byte of a tensor: the least, and the most.
std::pair<int, int> times_read(const std::vector<int>& times, const Case& c,
                               const QuantComponent& part) {
  const TensorEntry& tensor = c.catalog.tensors[part.tensor];
  const auto begin = times.begin() + static_cast<std::ptrdiff_t>(tensor.parts[0].offset);
  const auto [least, most] =
      std::minmax_element(begin, begin + static_cast<std::ptrdiff_t>(tensor.bytes()));
  return {*least, *most};
}

TEST(Slabs, HaveEachCodeReadOnceAndScalesOnceWhereNoGroupIsCut) {
  Rng rng(6);
  int of_whole_groups = 0;
  for (int i = 0; i < cases(80); ++i) {
    const Case c = random_case(rng);
    if (c.format() == WeightFormat::Int8) continue;  // whose rows are made as a whole
    SCOPED_TRACE(describe(c));
    std::vector<int> times(c.file.size());
    bool whole_groups = true, whole_words = true;
    for (std::uint32_t rank = 0; rank < c.cut.world; ++rank) {
      const UnitReads plan =
          plan_reads(c.graph, c.layout, c.cut, c.bindings, c.catalog, 0, rank, c.limits);
      for (const Piece& piece : plan.pieces) {
        const std::uint64_t bytes = info(piece.from).block_bytes;
        for (std::uint64_t element = 0; element < piece.elements; ++element) {
          const std::uint64_t at = piece.offset + element * piece.source_step * bytes;
          for (std::uint64_t byte = 0; byte < bytes; ++byte) ++times[at + byte];
        }
      }
      for (const ReadTask& task : plan.tasks) {
        const RowBatch& batch = *task.batch;
        whole_groups &= batch.first_column % c.weight().block_columns == 0;
        // Where memory does not hold even as many rows as are in a word.
        whole_words &= batch.first_row % c.weight().row_step() == 0;
      }
    }
    for (const QuantComponent& part : c.weight().components) {
      const auto [least, most] = times_read(times, c, part);
      EXPECT_GE(least, 1);
      if (!whole_words) continue;
      // All ranks read which group a column is of.
      const bool once =
          part.role == QuantRole::Codes || (part.role != QuantRole::GroupIndex && whole_groups);
      if (once) {
        EXPECT_EQ(most, 1) << part.name;
      }
    }
    of_whole_groups += whole_groups && whole_words ? 1 : 0;
  }
  EXPECT_GT(of_whole_groups, cases(20));
}

// A slab's boxes are what its columns need and no more.
TEST(Slabs, OfAllColumnsAreTheWholeRows) {
  Rng rng(7);
  for (int i = 0; i < cases(50); ++i) {
    const Way way = random_way(rng, 1);
    const Case c = make_case(rng, way, 1, WeightFormat::Plain, DType::F32, 1 << 20);
    const QuantizedWeight& weight = c.weight();
    const std::uint64_t step = weight.column_step();
    ASSERT_GT(step, 0u);
    std::uint64_t codes = 0;
    for (std::uint64_t column = 0; column < way.columns; column += 3 * step) {
      const std::uint64_t columns = std::min(3 * step, way.columns - column);
      codes += source_boxes(weight, {0, way.rows, column, columns}).front().bytes();
    }
    EXPECT_EQ(codes, source_boxes(weight, 0, way.rows).front().bytes());
  }
}

}  // namespace
}  // namespace initrt::testing
