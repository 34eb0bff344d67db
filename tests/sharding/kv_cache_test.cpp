#include "sharding/kv_cache.h"

#include <gtest/gtest.h>

#include "sharding/error.h"

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

}  // namespace
}  // namespace initrt
