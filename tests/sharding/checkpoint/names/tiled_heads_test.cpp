// llama.cpp's order of value heads for Qwen3.5: the first of each key head, then the second of
// each.
#include <gtest/gtest.h>

#include "sharding/checkpoint/names/hf_form.h"
#include "sharding/checkpoint/names/names.h"
#include "tests/sharding/checkpoint/names/small_graph.h"

namespace initrt {
namespace {

using testing::add_tensor;

/// Two key heads of 3 rows, six value heads of 2; 5 columns; 4 taps.
Graph graph_of() {
  Graph graph;
  graph.delta = {2, 6, 3, 2, 4};
  const std::string delta = "model.layers.0.linear_attn.";
  graph.tensors = {{"model.embed_tokens.weight", 9, 5}, {delta + "q_proj.weight", 6, 5},
                   {delta + "k_proj.weight", 6, 5},     {delta + "v_proj.weight", 12, 5},
                   {delta + "z_proj.weight", 12, 5},    {delta + "b_proj.weight", 6, 5},
                   {delta + "a_proj.weight", 6, 5},     {delta + "v_conv.weight", 4, 12},
                   {delta + "A_log", 6, 1, true},       {delta + "dt_bias", 6, 1, true},
                   {delta + "norm.weight", 2, 1, true}, {delta + "out_proj.weight", 5, 12}};
  return graph;
}
enum : std::size_t { kKey = 2, kValue, kGate, kBeta, kAlpha, kTaps, kDecay, kStep, kNorm, kOut };

Catalog catalog_of(const char* architecture) {
  Catalog catalog;
  const std::string block = "blk.0.";
  add_tensor(catalog, "token_embd.weight", DType::F32, {9, 5});
  add_tensor(catalog, block + "attn_qkv.weight", DType::F32, {24, 5});
  add_tensor(catalog, block + "attn_gate.weight", DType::F32, {12, 5});
  add_tensor(catalog, block + "ssm_beta.weight", DType::F32, {6, 5});
  add_tensor(catalog, block + "ssm_alpha.weight", DType::F32, {6, 5});
  add_tensor(catalog, block + "ssm_conv1d.weight", DType::F32, {24, 4});
  add_tensor(catalog, block + "ssm_a", DType::F32, {6});
  add_tensor(catalog, block + "ssm_dt.bias", DType::F32, {6});
  add_tensor(catalog, block + "ssm_norm.weight", DType::F32, {2});
  add_tensor(catalog, block + "ssm_out.weight", DType::F32, {5, 12});
  catalog.finish();
  catalog.metadata["general.architecture"] = architecture;
  return catalog;
}

/// Where each value head of a canonical tensor is, in heads of `size` rows or columns behind
/// `before` of them.
std::vector<std::uint64_t> places(const Binding& binding, bool columns, std::uint64_t size,
                                  std::uint64_t before) {
  std::vector<std::uint64_t> heads(6, 99);
  for (const RowRun& run : binding.runs) {
    const std::uint64_t first = columns ? run.column : run.row;
    const std::uint64_t source = columns ? run.source_column : run.source_row;
    EXPECT_EQ(columns ? run.columns : run.rows, size);
    EXPECT_EQ(first % size, 0u);
    EXPECT_EQ((source - before) % size, 0u);
    heads.at(first / size) = (source - before) / size;
  }
  return heads;
}

// Of key head 0 the value heads 0, 1 and 2 are at 0, 2 and 4.
const std::vector<std::uint64_t> kTiled = {0, 2, 4, 1, 3, 5};

TEST(TiledHeads, OfQwen35AreRowsColumnsAndElementsInTheirOwnOrder) {
  for (const char* architecture : {"qwen35", "qwen35moe"}) {
    const Bindings bindings = bind(graph_of(), catalog_of(architecture), false);
    EXPECT_TRUE(bindings.unexpected.empty());
    EXPECT_EQ(places(bindings.tensors[kValue], false, 2, 12), kTiled);
    EXPECT_EQ(places(bindings.tensors[kGate], false, 2, 0), kTiled);
    for (const std::size_t one_each : {kBeta, kAlpha, kDecay, kStep}) {
      EXPECT_EQ(places(bindings.tensors[one_each], false, 1, 0), kTiled) << one_each;
    }
    EXPECT_EQ(places(bindings.tensors[kTaps], true, 2, 12), kTiled);
    EXPECT_TRUE(bindings.tensors[kTaps].runs.front().transposed);
    EXPECT_EQ(places(bindings.tensors[kOut], true, 2, 0), kTiled);
  }
}

TEST(TiledHeads, LeaveKeysAndWhatAllHeadsShareInPlace) {
  const Bindings bindings = bind(graph_of(), catalog_of("qwen35"), false);
  ASSERT_EQ(bindings.tensors[kKey].runs.size(), 1u);
  EXPECT_EQ(bindings.tensors[kKey].runs.front().source_row, 6u);
  EXPECT_EQ(bindings.tensors[kNorm].runs.size(), 1u);
  EXPECT_TRUE(bindings.tensors[kDecay].runs.front().map.log_of_negated);
  EXPECT_FALSE(bindings.tensors[kStep].runs.front().map.changes());
}

TEST(TiledHeads, AreNoOthersWhereEachKeyHeadHasOneValueHead) {
  Graph graph = graph_of();
  graph.delta = {6, 6, 1, 2, 4};
  const Bindings bindings = bind(graph, catalog_of("qwen35"), false);
  for (const std::size_t tensor : {kValue, kGate, kOut}) {
    EXPECT_EQ(bindings.tensors[tensor].runs.size(), 1u) << tensor;
  }
}

/// How often each element of a written tensor is made of something.
std::vector<int> covered(const HfTensor& written) {
  std::vector<int> times(written.tensor.elements(), 0);
  for (const RowRun& run : written.binding.runs) {
    for (std::uint64_t row = run.row; row < run.row + run.rows; ++row) {
      for (std::uint64_t column = run.column; column < run.column + run.columns; ++column) {
        ++times.at(row * written.tensor.columns + column);
      }
    }
  }
  return times;
}

TEST(TiledHeads, AreWrittenInTheModelsOrder) {
  const Graph graph = graph_of();
  const Bindings bindings = bind(graph, catalog_of("qwen35"), false);
  for (const HfTensor& written : hf_tensors(graph, bindings)) {
    if (written.tensor.name.ends_with("conv1d.weight")) {
      EXPECT_EQ(written.shape, (std::vector<std::uint64_t>{24, 1, 4}));
      continue;  // queries and keys are not in this graph
    }
    EXPECT_EQ(covered(written), std::vector<int>(written.tensor.elements(), 1))
        << written.tensor.name;
    if (!written.tensor.name.ends_with("in_proj_qkv.weight")) continue;
    EXPECT_EQ(written.binding.runs.back().row, 22u) << "value head 5";
    EXPECT_EQ(written.binding.runs.back().source_row, 22u);
    EXPECT_EQ(written.binding.runs[3].row, 14u) << "value head 1";
    EXPECT_EQ(written.binding.runs[3].source_row, 16u);
  }
}

}  // namespace
}  // namespace initrt
