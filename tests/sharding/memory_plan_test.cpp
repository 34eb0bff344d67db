#include "sharding/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "sharding/kv_cache.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;

constexpr std::uint64_t kKiB = 1024;

/// One embedding, `blocks` blocks of one matrix each and a head tile, all [rows, 256].
Graph small_graph(const std::vector<std::uint64_t>& block_rows = {40, 40},
                  std::uint64_t vocabulary = 100) {
  Graph graph;
  graph.vocabulary = vocabulary;
  graph.layers = static_cast<std::uint32_t>(block_rows.size());
  graph.heads = 4;
  graph.kv_heads = 2;
  graph.head_size = 64;
  graph.rotary = {{.dimensions = 64, .frequencies = {}, .long_frequencies = {}}};
  graph.activations = {{"hidden", 256}, {"normed", 256}, {"gate", 40}};
  const auto add = [&](const char* name, UnitKind kind, std::uint64_t rows) {
    Unit unit;
    unit.name = name;
    unit.kind = kind;
    unit.params.push_back({static_cast<std::uint32_t>(graph.tensors.size()), 0, rows});
    graph.tensors.push_back({name, rows, 256, false, 0});
    graph.units.push_back(unit);
  };
  add("embedding", UnitKind::Embedding, vocabulary);
  graph.embedding = {{0, 0}};
  for (std::uint32_t layer = 0; layer < block_rows.size(); ++layer) {
    add("block", UnitKind::Block, block_rows[layer]);
    graph.units.back().ops = {AttentionOp{0, 0, 0, 0, layer, 4, 2, 64, 64, 1.0f}};
  }
  add("head", UnitKind::Head, vocabulary);
  return graph;
}

Layout layout_of(const Graph& graph) {
  return make_layout(graph, *precision_from_name("bf16-true"));
}

RunShape small_shape(GatherKind gather) {
  RunShape shape;
  shape.gather = gather;
  shape.prefetch = 1;
  shape.staging_bytes = 64 * kKiB;
  shape.sequences = 3;
  shape.context = 10;
  shape.sweep_rows = 7;
  shape.logit_rows = 5;
  shape.device.scratch_bytes = 1000;
  return shape;
}

TEST(MemoryPlan, TotalsAreTheHandComputedOnes) {
  const Graph graph = small_graph();
  const MemoryPlan plan =
      plan_memory(graph, layout_of(graph), 2, small_shape(GatherKind::InPlace)).memory;
  // Half the rows, of 512 bytes: of the embedding, two blocks and the head.
  EXPECT_EQ(plan[MemoryCategory::Shard], (50 + 20 + 20 + 50) * 512u);
  EXPECT_EQ(plan[MemoryCategory::Resident], 0u);
  EXPECT_EQ(plan[MemoryCategory::Slots], 0u);
  EXPECT_EQ(plan[MemoryCategory::Staging], 65536u);
  // K and V, 2 layers, 3 sequences, 2 KV heads, 10 positions, 64 elements of 2 bytes.
  EXPECT_EQ(plan[MemoryCategory::KvCache], 2u * 2 * 3 * 2 * 10 * 64 * 2);
  EXPECT_EQ(plan[MemoryCategory::Activations], 7u * (256 + 256 + 40) * 4);
  EXPECT_EQ(plan[MemoryCategory::Logits], 5u * 100 * 4);
  // A rotary table [7, 64] of floats; 7 embedding rows of 512 bytes; the device's own.
  EXPECT_EQ(plan[MemoryCategory::Scratch], 7u * 64 * 4 + 7 * 512 + 1000);
  EXPECT_EQ(plan.total(), 71680u + 65536 + 30720 + 15456 + 2000 + 1792 + 3584 + 1000);
}

TEST(MemoryPlan, CollectiveGathersAddSlotsAndRowsOnTheirWay) {
  const Graph graph = small_graph({40, 60});
  RunShape shape = small_shape(GatherKind::Collective);
  shape.prefetch = 2;
  const MemoryPlan plan = plan_memory(graph, layout_of(graph), 2, shape).memory;
  // The largest unit that is gathered is the head, 100 rows; the embedding never is.
  EXPECT_EQ(plan[MemoryCategory::Slots], 3u * 100 * 512);
  EXPECT_EQ(plan[MemoryCategory::Scratch], 7u * 64 * 4 + 3 * 7 * 512 + 1000);

  Graph small_head = graph;
  small_head.units.pop_back();
  EXPECT_EQ(plan_memory(small_head, layout_of(small_head), 2, shape).memory[MemoryCategory::Slots],
            2u * 60 * 512)
      << "two units are gathered: a third slot would have nothing to hold";
}

TEST(MemoryPlan, ThereAreNoMoreSlotsThanUnitsGatheredOnDemand) {
  const Graph graph = small_graph({40, 60});  // two blocks and a head are gathered
  const Layout layout = layout_of(graph);
  RunShape shape = small_shape(GatherKind::Collective);
  shape.prefetch = 64;
  EXPECT_EQ(plan_memory(graph, layout, 2, shape).slots, 3u);
  shape.budget = 1u << 30;
  const Placement resident = plan_memory(graph, layout, 2, shape);
  EXPECT_EQ(resident.slots, 0u) << "everything is resident";
  EXPECT_EQ(resident.memory[MemoryCategory::Slots], 0u);
}

TEST(MemoryPlan, ABudgetTooSmallIsAnErrorWithBothNumbers) {
  const Graph graph = small_graph();
  const Layout layout = layout_of(graph);
  for (const GatherKind gather : {GatherKind::InPlace, GatherKind::Collective}) {
    RunShape shape = small_shape(gather);
    const std::uint64_t least = plan_memory(graph, layout, 2, shape).memory.total();
    shape.budget = least;
    EXPECT_EQ(plan_memory(graph, layout, 2, shape).memory.total(), least);
    shape.budget = least - 1;
    EXPECT_EQ(
        error_of([&] { (void)plan_memory(graph, layout, 2, shape); }),
        fmt::format("memory.budget is {} bytes, but this job needs at least {} on each of 2 ranks",
                    least - 1, least));
  }
}

std::vector<bool> residents(const Placement& placement) {
  std::vector<bool> resident;
  for (const UnitCut& unit : placement.cut.units) resident.push_back(unit.resident);
  return resident;
}

TEST(MemoryPlan, LargerBudgetsKeepMoreUnitsResidentAndNoneIsExceeded) {
  std::mt19937_64 rng(1);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::uint64_t> rows(1 + rng() % 8);
    for (std::uint64_t& block : rows) block = 1 + rng() % (round % 2 == 0 ? 200 : 20'000);
    const Graph graph = small_graph(rows, 1 + rng() % 500);
    const Layout layout = layout_of(graph);
    const auto world = static_cast<std::uint32_t>(2 + rng() % 7);
    RunShape shape = small_shape(GatherKind::Collective);
    const std::uint64_t least = plan_memory(graph, layout, world, shape).memory.total();
    const std::uint64_t step = 1 + layout.bytes() / 60;
    std::vector<bool> before(graph.units.size(), false);
    for (shape.budget = least; shape.budget < least + 2 * layout.bytes(); shape.budget += step) {
      const Placement placement = plan_memory(graph, layout, world, shape);
      ASSERT_LE(placement.memory.total(), shape.budget);
      EXPECT_EQ(placement.memory[MemoryCategory::Shard], placement.cut.chunks_bytes);
      EXPECT_EQ(placement.memory[MemoryCategory::Resident], placement.cut.resident_bytes);
      const std::vector<bool> now = residents(placement);
      for (std::size_t unit = 0; unit < now.size(); ++unit) EXPECT_GE(now[unit], before[unit]);
      before = now;
      const auto count = std::count(now.begin(), now.end(), true);
      if (count == 0 || placement.memory.total() <= least) continue;  // without any slots
      RunShape less = shape;
      less.budget = placement.memory.total() - 1;
      const std::vector<bool> fewer = residents(plan_memory(graph, layout, world, less));
      EXPECT_LT(std::count(fewer.begin(), fewer.end(), true), count) << "each byte is counted";
    }
  }
}

TEST(MemoryPlan, AnAmpleBudgetKeepsAllButTheEmbedding) {
  const Graph graph = small_graph();
  RunShape shape = small_shape(GatherKind::Collective);
  shape.budget = 1ull << 40;
  const Placement placement = plan_memory(graph, layout_of(graph), 3, shape);
  EXPECT_EQ(residents(placement), (std::vector<bool>{false, true, true, true}));
}

TEST(MemoryPlan, UnitsInPlaceAreNeverCopied) {
  const Graph graph = small_graph();
  RunShape shape = small_shape(GatherKind::InPlace);
  shape.budget = 1ull << 40;
  const Placement placement = plan_memory(graph, layout_of(graph), 3, shape);
  EXPECT_EQ(residents(placement), std::vector<bool>(4, false));
  EXPECT_EQ(placement.memory[MemoryCategory::Resident], 0u);
}

TEST(MemoryPlan, HugeShapesAreErrorsNotSmallNumbers) {
  const Graph graph = small_graph();
  const Layout layout = layout_of(graph);
  const auto error_with = [&](const auto& change) {
    RunShape shape = small_shape(GatherKind::Collective);
    change(shape);
    return error_of([&] { (void)plan_memory(graph, layout, 2, shape); });
  };
  constexpr std::uint64_t kHuge = 1ull << 62;
  EXPECT_EQ(error_with([](RunShape& shape) { shape.logit_rows = kHuge; }),
            "the logits buffer takes 2^64 bytes or more");
  EXPECT_EQ(error_with([](RunShape& shape) { shape.sweep_rows = kHuge; }),
            "hidden takes 2^64 bytes or more");
  EXPECT_EQ(error_with([](RunShape& shape) { shape.sequences = kHuge; }),
            "the KV cache takes 2^64 bytes or more");
  EXPECT_EQ(error_with([](RunShape& shape) { shape.context = kHuge; }),
            "the KV cache takes 2^64 bytes or more");
  EXPECT_EQ(error_with([](RunShape& shape) { shape.device.scratch_bytes = ~0ull; }),
            "scratch memory takes 2^64 bytes or more");
  EXPECT_EQ(error_with([](RunShape& shape) { shape.staging_bytes = ~0ull; }),
            "this job takes 2^64 bytes or more");
}

TEST(MemoryPlan, ProductsThatWrapToZeroAreErrors) {
  // 2^32 rows x 2^32 entries would be 0 modulo 2^64, that is, free.
  Graph graph = small_graph();
  const Layout layout = layout_of(graph);
  graph.vocabulary = 1ull << 32;
  RunShape shape = small_shape(GatherKind::InPlace);
  shape.logit_rows = 1ull << 32;
  EXPECT_EQ(error_of([&] { (void)plan_memory(graph, layout, 1, shape); }),
            "the logits buffer takes 2^64 bytes or more");
  EXPECT_NE(error_of([&] { (void)kv_layout(graph, DType::F32, 1ull << 30, 1ull << 31, 1); }), "");
}

TEST(MemoryPlan, TheWidestLinearInputIsFoundInBlocksAndHead) {
  Graph graph = small_graph();
  EXPECT_EQ(widest_linear_input(graph), 0u);
  graph.units[1].ops = {LinearOp{0, 1, 0, {}}, LinearOp{2, 0, 0, {}}};
  EXPECT_EQ(widest_linear_input(graph), 256u);
  graph.units[1].ops = {LinearOp{2, 0, 0, {}}};
  EXPECT_EQ(widest_linear_input(graph), 40u);
  graph.units[3].ops = {HeadOp{1, 0, 0, 0}};
  EXPECT_EQ(widest_linear_input(graph), 256u);
}

}  // namespace
}  // namespace initrt
