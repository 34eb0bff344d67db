#include "sharding/kv_cache.h"

#include <gtest/gtest.h>

#include "tests/sharding/errors.h"

namespace initrt {
namespace {

// Layers of 2 KV heads of 8 elements, of the windows given.
Graph graph_of(const std::vector<std::uint32_t>& windows) {
  Graph graph;
  graph.layers = static_cast<std::uint32_t>(windows.size());
  graph.activations = {{"x", 16}};
  for (std::uint32_t layer = 0; layer < graph.layers; ++layer) {
    AttentionOp op{0, 0, 0, 0, layer, 4, 2, 8, 8, 1.0f};
    op.window = windows[layer];
    graph.units.push_back({"block", UnitKind::Block, {}, {op}});
  }
  return graph;
}

TEST(KvCache, LayersWithAWindowKeepWhatASweepsRowsMaySee) {
  // The last 30 positions, 100 rows, 63 of the first tile: 192 of them in whole tiles.
  const KvLayout layout = kv_layout(graph_of({0, 30, 0}), DType::BF16, 3, 1000, 100);
  const std::uint64_t all = 3ull * 2 * 1000 * 8 * 2, few = 3ull * 2 * 192 * 8 * 2;
  EXPECT_EQ(layout.layers[0].positions, 1000u);
  EXPECT_FALSE(layout.layers[0].ring);
  EXPECT_EQ(layout.layers[1].positions, 192u);
  EXPECT_TRUE(layout.layers[1].ring);
  EXPECT_EQ(layout.layers[1].k, 2 * all);
  EXPECT_EQ(layout.layers[1].v, 2 * all + few);
  EXPECT_EQ(layout.layers[2].k, 2 * all + 2 * few);
  EXPECT_EQ(layout.bytes, 4 * all + 2 * few);
}

TEST(KvCache, AWindowThatSavesNothingIsNoRing) {
  const KvLayout layout = kv_layout(graph_of({30}), DType::BF16, 1, 150, 100);
  EXPECT_EQ(layout.layers[0].positions, 150u);
  EXPECT_FALSE(layout.layers[0].ring);
}

TEST(KvCache, ValuesThatAreAPartOfKeysTakeNothing) {
  Graph graph = graph_of({0, 0});
  auto& op = std::get<AttentionOp>(graph.units[0].ops[0]);
  op.v.reset();
  op.value_size = 6;
  const KvLayout layout = kv_layout(graph, DType::F32, 1, 10, 1);
  EXPECT_FALSE(layout.layers[0].has_values);
  EXPECT_EQ(layout.layers[1].k, 2ull * 10 * 8 * 4);
  EXPECT_EQ(layout.bytes, 3ull * 2 * 10 * 8 * 4);
}

// 3 heads of 4 by 5.
TEST(KvCache, AStateSpaceIsAStateOfEachSequence) {
  Graph graph;
  graph.states = 1;
  StateSpaceOp space{};
  space.heads = 3;
  space.state_size = 4;
  space.head_size = 5;
  graph.units.push_back({"block", UnitKind::Block, {}, {space}});
  const KvLayout layout = kv_layout(graph, DType::BF16, 2, 7, 1);
  EXPECT_EQ(layout.states[0].elements, 60u);
  EXPECT_EQ(layout.bytes, 2ull * 60 * 4);
}

TEST(KvCache, LayersThatReadAnothersKeysTakeNothing) {
  Graph graph = graph_of({0, 30, 0});
  auto& op = std::get<AttentionOp>(graph.units[2].ops[0]);
  op.k.reset();
  op.v.reset();
  op.layer = 0;
  const KvLayout layout = kv_layout(graph, DType::BF16, 1, 1000, 100);
  EXPECT_EQ(layout.layers[0].positions, 1000u);
  EXPECT_TRUE(layout.layers[0].has_values);
  EXPECT_EQ(layout.bytes, 2ull * (2 * 1000 * 8 * 2 + 2 * 192 * 8 * 2));
}

// A convolution of 3 taps over 10 columns, and 3 value heads of 4 by 5, behind one layer's keys.
TEST(KvCache, StatesOfSequencesLieBehindTheKeysOfTheirLayers) {
  Graph graph = graph_of({0});
  graph.layers = 2;
  graph.states = 2;
  graph.activations.push_back({"wide", 10});
  graph.tensors = {{"taps", 3, 10}};
  DeltaOp delta{};
  delta.state = 0;
  delta.value_heads = 3;
  delta.key_size = 4;
  delta.value_size = 5;
  graph.units.push_back({"block", UnitKind::Block, {{0, 0, 3}}, {ConvolutionOp{1, 0, 1}, delta}});
  const KvLayout layout = kv_layout(graph, DType::BF16, 3, 7, 1);
  EXPECT_EQ(layout.layers[1].positions, 0u) << "it has no keys";
  const std::uint64_t keys = 2ull * 3 * 2 * 7 * 8 * 2, of_convolution = 3ull * 2 * 10 * 4;
  EXPECT_EQ(layout.states[1].elements, 20u);
  EXPECT_EQ(layout.states[1].offset, (keys + 63) / 64 * 64);
  EXPECT_EQ(layout.states[0].elements, 60u);
  EXPECT_EQ(layout.states[0].offset, (layout.states[1].offset + of_convolution + 63) / 64 * 64);
  EXPECT_EQ(layout.bytes, layout.states[0].offset + 3ull * 60 * 4);
  // They do not grow with the context.
  const KvLayout longer = kv_layout(graph, DType::BF16, 3, 700, 1);
  EXPECT_EQ(longer.bytes - longer.states[1].offset, layout.bytes - layout.states[1].offset);
  EXPECT_NE(testing::error_of([&] { (void)kv_layout(graph, DType::BF16, 1ull << 60, 7, 1); }), "");
}

}  // namespace
}  // namespace initrt
