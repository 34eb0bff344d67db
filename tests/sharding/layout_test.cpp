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
      EXPECT_EQ(place.bytes, tensor.rows * tensor.columns * info(layout.dtype).block_bytes);
      end = place.offset + place.bytes;
    }
    EXPECT_EQ(layout.units[u].bytes, end);
    total += end;
  }
  EXPECT_EQ(layout.bytes(), total);
}

/// The page size that a unit's chunks should have: huge where that wastes at most 1/32.
std::uint64_t step_of(std::uint64_t unit_bytes, std::uint32_t world, Granularity granularity) {
  const std::uint64_t exact = (unit_bytes + world - 1) / world;
  const std::uint64_t huge = round_up(exact, granularity.huge);
  return (huge - exact) * 32 <= huge ? granularity.huge : granularity.base;
}

void check_chunk_sizes(const Layout& layout, const Cut& cut, Granularity granularity) {
  for (std::size_t u = 0; u < layout.units.size(); ++u) {
    const std::uint64_t bytes = layout.units[u].bytes, chunk = cut.units[u].chunk_bytes;
    const std::uint64_t step = step_of(bytes, cut.world, granularity);
    EXPECT_EQ(chunk, round_up((bytes + cut.world - 1) / cut.world, step))
        << bytes << " bytes over " << cut.world;
    EXPECT_GE(chunk * cut.world, bytes);
  }
}

/// Every byte of every unit lies at one place of one rank's shard (or, of a resident unit, at one
/// place of each rank's), at a multiple of the granularity, and no two lie at the same place.
void check_places(const Layout& layout, const Cut& cut, Granularity granularity,
                  const std::vector<bool>& resident) {
  for (std::uint32_t rank : {0u, cut.world / 2, cut.world - 1}) {
    std::uint64_t end_of_chunks = 0, end = 0;
    for (const bool wanted : {false, true}) {
      if (wanted) end_of_chunks = end;
      for (std::uint32_t u = 0; u < layout.units.size(); ++u) {
        ASSERT_EQ(cut.units[u].resident, !resident.empty() && resident[u]);
        if (cut.units[u].resident != wanted) continue;
        const std::uint64_t chunk = cut.units[u].chunk_bytes;
        const std::uint64_t begin = cut.units[u].offset;
        EXPECT_EQ(begin, round_up(end, step_of(layout.units[u].bytes, cut.world, granularity)));
        EXPECT_EQ(cut.chunk_offset(u, rank), begin + (wanted ? rank * chunk : 0));
        end = begin + (wanted ? cut.gathered_bytes(u) : chunk);
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

TEST(Layout, ChunkOwnersCoverEveryByteOnce) {
  // Byte by byte, on units small enough for it.
  Rng rng(2);
  for (int round = 0; round < 200; ++round) {
    Layout layout;
    layout.units.resize(1 + up_to(rng, 3));
    for (UnitLayout& unit : layout.units) unit.bytes = up_to(rng, 40'000);
    const auto world = static_cast<std::uint32_t>(1 + up_to(rng, 11));
    const Cut cut = make_cut(layout, world, Granularity{256u << up_to(rng, 4), 8192});
    for (std::uint32_t u = 0; u < layout.units.size(); ++u) {
      std::vector<int> owners(layout.units[u].bytes, 0);
      for (std::uint64_t rank = 0; rank < world; ++rank) {
        const std::uint64_t chunk = cut.units[u].chunk_bytes;
        for (std::uint64_t at = rank * chunk; at < (rank + 1) * chunk; ++at) {
          if (at < owners.size()) ++owners[at];
        }
      }
      EXPECT_EQ(std::count(owners.begin(), owners.end(), 1),
                static_cast<std::ptrdiff_t>(owners.size()));
    }
  }
}

TEST(Layout, ChunksFitTheGranularityAndDoNotOverlap) {
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    const Graph graph = random_graph(rng);
    const Layout layout = make_layout(graph, *precision_from_name("bf16-true"));
    std::vector<bool> resident(up_to(rng, 1) * graph.units.size());
    for (std::size_t u = 0; u < resident.size(); ++u) resident[u] = up_to(rng, 1) == 1;
    for (const std::uint32_t world : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 64u, 1000u, 16384u}) {
      for (const Granularity granularity : {kHostGranularity, kCudaGranularity}) {
        const Cut cut = make_cut(layout, world, granularity, resident);
        EXPECT_EQ(cut.world, world);
        check_chunk_sizes(layout, cut, granularity);
        check_places(layout, cut, granularity, resident);
      }
    }
  }
}

TEST(Layout, HugePagesOnlyWhereTheyWasteLittle) {
  constexpr std::uint64_t kHuge = 2u << 20;
  const auto chunk_of = [](std::uint64_t bytes) {
    Layout layout;
    layout.units.resize(1);
    layout.units[0].bytes = bytes;
    return make_cut(layout, 1, kHostGranularity).units[0].chunk_bytes;
  };
  EXPECT_EQ(chunk_of(kHuge), kHuge);
  EXPECT_EQ(chunk_of(kHuge - kHuge / 32), kHuge);
  EXPECT_EQ(chunk_of(kHuge - kHuge / 32 - 1), kHuge - kHuge / 32);
  EXPECT_EQ(chunk_of(kHuge + 1), kHuge + 4096);
  EXPECT_EQ(chunk_of(31 * kHuge + 1), 32 * kHuge);
  EXPECT_EQ(chunk_of(1), 4096u);
  EXPECT_EQ(chunk_of(0), 0u);
}

TEST(Layout, TheUnitsBytesDoNotDependOnTheWorld) {
  Layout layout;
  layout.units.resize(1);
  layout.units[0].bytes = 1'000'000;
  for (std::uint32_t world = 1; world < 50; ++world) {
    const Cut cut = make_cut(layout, world, kHostGranularity);
    EXPECT_GE(cut.gathered_bytes(0), 1'000'000u);
    EXPECT_LT(cut.gathered_bytes(0), 1'000'000u + world * 4096u);
  }
}

TEST(Layout, RefusesWhatCannotBeCut) {
  Layout layout;
  layout.units.resize(2);
  EXPECT_EQ(error_of([&] { (void)make_cut(layout, 0, kHostGranularity); }),
            "the world size must be at least 1");
  for (const Granularity wrong :
       {Granularity{4097, 8192}, Granularity{4096, 12288}, Granularity{8192, 4096},
        Granularity{0, 4096}, Granularity{128, 4096}}) {
    EXPECT_NE(error_of([&] { (void)make_cut(layout, 1, wrong); }).find("powers of two"),
              std::string::npos);
  }
  EXPECT_EQ(error_of([&] { (void)make_cut(layout, 1, kHostGranularity, {true}); }),
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
  EXPECT_NE(error_of([&] { (void)layout_of(1ull << 32, 1ull << 31, 1); }).find("overflows"),
            std::string::npos);
  EXPECT_EQ(error_of([&] { (void)layout_of(1ull << 31, 1ull << 29, 4); }),
            "the unit takes 2^64 bytes or more");
  EXPECT_EQ(layout_of(1ull << 31, 1ull << 29, 3).units[0].bytes, 3ull << 62);
}

TEST(Layout, CutsThatOverflowAreErrors) {
  Layout layout;
  layout.units.resize(3);
  for (UnitLayout& unit : layout.units) unit.bytes = 1ull << 62;
  EXPECT_EQ(make_cut(layout, 1, kHostGranularity).memory_bytes(), 3ull << 62);
  layout.units.push_back(layout.units[0]);
  EXPECT_NE(error_of([&] { (void)make_cut(layout, 1, kHostGranularity); }).find("2^64"),
            std::string::npos);
  EXPECT_NE(error_of([&] { (void)layout.bytes(); }).find("2^64"), std::string::npos);
  layout.units.resize(1);
  layout.units[0].bytes = ~0ull - 5;
  EXPECT_NE(error_of([&] { (void)make_cut(layout, 1, kHostGranularity); }).find("2^64"),
            std::string::npos);
  EXPECT_NE(error_of([&] { (void)make_cut(layout, 7, kHostGranularity); }).find("2^64"),
            std::string::npos);
}

}  // namespace
}  // namespace initrt
