#include "sharding/layout.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;

using Rng = std::mt19937_64;

std::uint64_t up_to(Rng& rng, std::uint64_t most) { return rng() % (most + 1); }

/// Units of a few parameters from one element to tens of MB, and some without any.
Graph random_graph(Rng& rng) {
  Graph graph;
  const std::uint64_t units = 1 + up_to(rng, 7);
  for (std::uint64_t u = 0; u < units; ++u) {
    Unit unit;
    unit.name = "unit." + std::to_string(u);
    const std::uint64_t params = up_to(rng, 5);
    for (std::uint64_t p = 0; p < params; ++p) {
      Tensor tensor;
      tensor.name = unit.name + "." + std::to_string(p);
      tensor.rows = 1 + up_to(rng, (1ull << up_to(rng, 13)) - 1);
      tensor.columns = 1 + up_to(rng, (1ull << up_to(rng, 11)) - 1);
      unit.params.push_back({static_cast<std::uint32_t>(graph.tensors.size()), 0, tensor.rows});
      graph.tensors.push_back(tensor);
    }
    graph.units.push_back(unit);
  }
  return graph;
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
  return (value + step - 1) / step * step;
}

void check_layout(const Graph& graph, const Layout& layout) {
  ASSERT_EQ(layout.units.size(), graph.units.size());
  std::uint64_t total = 0;
  for (std::size_t u = 0; u < graph.units.size(); ++u) {
    ASSERT_EQ(layout.units[u].params.size(), graph.units[u].params.size());
    std::uint64_t end = 0;
    for (std::size_t p = 0; p < graph.units[u].params.size(); ++p) {
      const ParamPlace& place = layout.units[u].params[p];
      const Tensor& tensor = graph.tensors[graph.units[u].params[p].tensor];
      EXPECT_EQ(place.offset, round_up(end, 256)) << "in order, aligned, not a byte further";
      EXPECT_EQ(place.rows, tensor.rows);
      EXPECT_EQ(place.row_bytes, tensor.columns * info(layout.dtype).block_bytes);
      end = place.offset + place.bytes();
    }
    EXPECT_EQ(layout.units[u].bytes, end);
    total += end;
  }
  EXPECT_EQ(layout.bytes(), total);
}

/// A rank's rows are those of torch.chunk(): ceil(rows / world), the last ranks fewer or none.
void check_rows(const Layout& layout, const Cut& cut, std::uint32_t unit) {
  for (std::size_t p = 0; p < layout.units[unit].params.size(); ++p) {
    const std::uint64_t rows = layout.units[unit].params[p].rows;
    const std::uint64_t block = (rows + cut.world - 1) / cut.world;
    EXPECT_EQ(cut.units[unit].params[p].block_rows, block);
    std::uint64_t next = 0;
    for (std::uint32_t rank = 0; rank < cut.world; ++rank) {
      const auto [first, count] = cut.rows_of(unit, p, rows, rank);
      EXPECT_EQ(first, next);
      EXPECT_EQ(count, std::min(block, rows - first));
      next = first + count;
    }
    EXPECT_EQ(next, rows);
  }
}

/// A chunk is the parameters' blocks one after the other, replicated ones first, each aligned.
void check_chunk(const Layout& layout, const Cut& cut, std::uint32_t unit) {
  const UnitCut& placed = cut.units[unit];
  std::uint64_t end = 0;
  for (const bool replicated : {true, false}) {
    for (std::size_t p = 0; p < placed.params.size(); ++p) {
      const ParamPlace& place = layout.units[unit].params[p];
      if (place.replicated != replicated) continue;
      EXPECT_EQ(placed.params[p].offset, end);
      end = round_up(end + placed.params[p].block_rows * place.row_bytes, 256);
    }
    if (replicated) {
      EXPECT_EQ(placed.replicated_bytes, end);
    }
  }
  EXPECT_EQ(placed.chunk_bytes, end);
  EXPECT_EQ(cut.gathered_bytes(unit), end * cut.world);
}

/// Chunks lie one after the other in a shard, and resident units, whole, behind them.
void check_places(const Layout& layout, const Cut& cut, const std::vector<bool>& resident) {
  for (std::uint32_t rank : {0u, cut.world / 2, cut.world - 1}) {
    std::uint64_t end_of_chunks = 0, end = 0;
    for (const bool wanted : {false, true}) {
      if (wanted) end_of_chunks = end;
      for (std::uint32_t u = 0; u < layout.units.size(); ++u) {
        ASSERT_EQ(cut.units[u].resident, !resident.empty() && resident[u]);
        if (cut.units[u].resident != wanted) continue;
        const std::uint64_t chunk = cut.units[u].chunk_bytes;
        EXPECT_EQ(cut.units[u].offset, end);
        EXPECT_EQ(cut.chunk_offset(u, rank), end + (wanted ? rank * chunk : 0));
        end += wanted ? cut.gathered_bytes(u) : chunk;
      }
    }
    EXPECT_EQ(cut.chunks_bytes, end_of_chunks);
    EXPECT_EQ(cut.memory_bytes(), end);
  }
}

TEST(Layout, ParamsAreAlignedAndInOrder) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    const Graph graph = random_graph(rng);
    for (const char* precision : {"32-true", "bf16-true", "16-true"}) {
      check_layout(graph, make_layout(graph, *precision_from_name(precision)));
    }
  }
}

TEST(Layout, RanksOwnEveryRowOnce) {
  Rng rng(3);
  for (int round = 0; round < 100; ++round) {
    const Graph graph = random_graph(rng);
    Layout layout = make_layout(graph, *precision_from_name("bf16-true"));
    for (UnitLayout& unit : layout.units) {
      for (ParamPlace& place : unit.params) place.replicated = up_to(rng, 3) == 0;
    }
    std::vector<bool> resident(up_to(rng, 1) * graph.units.size());
    for (std::size_t u = 0; u < resident.size(); ++u) resident[u] = up_to(rng, 1) == 1;
    for (const std::uint32_t world : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 64u, 1000u}) {
      const Cut cut = make_cut(layout, world, resident);
      EXPECT_EQ(cut.world, world);
      for (std::uint32_t unit = 0; unit < layout.units.size(); ++unit) {
        check_rows(layout, cut, unit);
        check_chunk(layout, cut, unit);
      }
      check_places(layout, cut, resident);
    }
  }
}

TEST(Layout, ABlockOfRowsIsFoundByItsRank) {
  std::vector<std::byte> memory(4096);
  Layout layout;
  layout.units.resize(1);
  layout.units[0].params = {{.rows = 3, .row_bytes = 4}, {.rows = 10, .row_bytes = 8}};
  const Cut cut = make_cut(layout, 4);  // blocks of 1 and 3 rows
  const RowBlocks rows = cut.blocks(0, 1, {memory.data(), 1000});
  for (std::uint64_t row = 0; row < 10; ++row) {
    EXPECT_EQ(rows.row(row, 8) - memory.data(), 256 + row / 3 * 1000 + row % 3 * 8);
  }
  const RowBlocks dense(memory.data());
  EXPECT_EQ(dense.row(100, 8) - memory.data(), 800);
}

TEST(Layout, RefusesWhatCannotBeCut) {
  Layout layout;
  layout.units.resize(2);
  EXPECT_EQ(error_of([&] { (void)make_cut(layout, 0); }), "the world size must be at least 1");
  EXPECT_EQ(error_of([&] { (void)make_cut(layout, 1, {true}); }),
            "1 units are marked as resident or not, but there are 2");
}

Graph graph_of(std::uint64_t rows, std::uint64_t columns, int copies) {
  Graph graph;
  graph.tensors.push_back({"table", rows, columns, false, 0});
  graph.units.resize(1);
  graph.units[0].name = "the unit";
  for (int i = 0; i < copies; ++i) graph.units[0].params.push_back({0, 0, rows});
  return graph;
}

TEST(Layout, SizesThatOverflowAreErrors) {
  const Precision precision = *precision_from_name("32-true");
  const auto layout_of = [&](std::uint64_t rows, std::uint64_t columns, int copies) {
    return make_layout(graph_of(rows, columns, copies), precision);
  };
  EXPECT_EQ(error_of([&] { (void)layout_of(1ull << 33, 1ull << 31, 1); }),
            "table takes 2^64 bytes or more");
  EXPECT_EQ(error_of([&] { (void)layout_of(1ull << 32, 1ull << 31, 1); }),
            "table takes 2^64 bytes or more");
  EXPECT_NE(error_of([&] { (void)layout_of(1, 1ull << 62, 1); }).find("overflows"),
            std::string::npos);
  EXPECT_EQ(error_of([&] { (void)layout_of(1ull << 31, 1ull << 29, 4); }),
            "the unit takes 2^64 bytes or more");
  EXPECT_EQ(layout_of(1ull << 31, 1ull << 29, 3).units[0].bytes, 3ull << 62);
}

TEST(Layout, CutsThatOverflowAreErrors) {
  const auto layout_of = [](std::size_t units, std::uint64_t rows) {
    Layout layout;
    layout.units.resize(units);
    for (UnitLayout& unit : layout.units) {
      unit.params = {{.rows = rows, .row_bytes = 1}};
      unit.bytes = rows;
    }
    return layout;
  };
  EXPECT_EQ(make_cut(layout_of(3, 1ull << 62), 1).memory_bytes(), 3ull << 62);
  const auto error_of_cut = [&](std::size_t units, std::uint64_t rows, std::uint32_t world) {
    return error_of([&] { (void)make_cut(layout_of(units, rows), world); });
  };
  EXPECT_NE(error_of_cut(4, 1ull << 62, 1).find("2^64"), std::string::npos);
  EXPECT_NE(error_of([&] { (void)layout_of(4, 1ull << 62).bytes(); }).find("2^64"),
            std::string::npos);
  EXPECT_NE(error_of_cut(1, ~0ull - 5, 1).find("2^64"), std::string::npos);
  EXPECT_NE(error_of_cut(1, ~0ull - 5, 7).find("2^64"), std::string::npos);
}

}  // namespace
}  // namespace initrt
