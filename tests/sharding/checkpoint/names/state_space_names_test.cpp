// How files hold what a state space's layer is made of: one product, one convolution.
#include <gtest/gtest.h>

#include <array>

#include "sharding/checkpoint/names/names.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

constexpr std::array kModules = {NamePair{"mamba", "mixer"},
                                 NamePair{"mamba.in_proj", "mixer.in_proj"},
                                 NamePair{"mamba.conv1d", "mixer.conv1d"}};

/// Two groups of 3, four heads of 2; 5 columns.
Graph graph_of() {
  Graph graph;
  graph.state_space = {2, 4, 3, 2, 4};
  graph.hf_names.table = {{}, "model.layers.", kModules};
  const std::string mamba = "model.layers.0.mamba.";
  graph.tensors = {{"model.embed_tokens.weight", 9, 5},
                   {mamba + "z_proj.weight", 8, 5},
                   {mamba + "x_proj.weight", 8, 5},
                   {mamba + "b_proj.weight", 6, 5},
                   {mamba + "c_proj.weight", 6, 5},
                   {mamba + "step_proj.weight", 4, 5},
                   {mamba + "step_proj.bias", 4, 1, true},
                   {mamba + "c_conv.weight", 4, 6},
                   {mamba + "c_conv.bias", 6, 1, true},
                   {mamba + "A_log", 4, 1, true},
                   {mamba + "D", 4, 1, true},
                   {mamba + "dt_bias", 4, 1, true}};
  return graph;
}

using Shape = std::vector<std::uint64_t>;

Catalog catalog_of(const std::vector<std::pair<std::string, Shape>>& tensors) {
  Catalog catalog;
  catalog.files = {{"model/file", 1u << 20}};
  std::uint64_t offset = 0;
  for (const auto& [name, shape] : tensors) {
    catalog.tensors.push_back(testing::dense_entry(name, DType::F32, shape, 0, offset));
    offset += 4096;
  }
  catalog.finish();
  return catalog;
}

Catalog hf_catalog() {
  const std::string mixer = "model.layers.0.mixer.";
  return catalog_of({{"model.embed_tokens.weight", {9, 5}},
                     {mixer + "in_proj.weight", {32, 5}},
                     {mixer + "in_proj.bias", {32}},
                     {mixer + "conv1d.weight", {20, 1, 4}},
                     {mixer + "conv1d.bias", {20}},
                     {mixer + "A_log", {4}},
                     {mixer + "D", {4}},
                     {mixer + "dt_bias", {4}}});
}

std::uint64_t first_row(const Bindings& bindings, std::size_t tensor) {
  EXPECT_EQ(bindings.tensors[tensor].runs.size(), 1u);
  return bindings.tensors[tensor].runs.front().source_row;
}

TEST(StateSpaceNames, PartsOfTheProductAreGateValuesGroupsAndSteps) {
  const Bindings bindings = bind(graph_of(), hf_catalog(), false);
  EXPECT_TRUE(bindings.unexpected.empty());
  EXPECT_EQ(first_row(bindings, 1), 0u);
  EXPECT_EQ(first_row(bindings, 2), 8u);
  EXPECT_EQ(first_row(bindings, 3), 16u);
  EXPECT_EQ(first_row(bindings, 4), 22u);
  EXPECT_EQ(first_row(bindings, 5), 28u);
  EXPECT_EQ(first_row(bindings, 6), 28u) << "its bias too";
}

TEST(StateSpaceNames, TheConvolutionIsOverAllButGateAndSteps) {
  const Bindings bindings = bind(graph_of(), hf_catalog(), false);
  const RowRun& taps = bindings.tensors[7].runs.front();
  EXPECT_TRUE(taps.transposed);
  EXPECT_EQ(taps.source_column, 14u);
  EXPECT_EQ(first_row(bindings, 8), 14u);
}

// Vectors of two dimensions, and decays as -exp of what they are.
TEST(StateSpaceNames, OfGgufFilesAreTheSameTensors) {
  Catalog catalog = catalog_of({{"token_embd.weight", {9, 5}},
                                {"blk.0.ssm_in.weight", {32, 5}},
                                {"blk.0.ssm_in.bias", {32}},
                                {"blk.0.ssm_conv1d.weight", {20, 4}},
                                {"blk.0.ssm_conv1d.bias", {20}},
                                {"blk.0.ssm_a", {4, 1}},
                                {"blk.0.ssm_d", {4, 1}},
                                {"blk.0.ssm_dt.bias", {4}}});
  catalog.metadata["general.architecture"] = "granitehybrid";
  const Bindings bindings = bind(graph_of(), catalog, false);
  EXPECT_TRUE(bindings.unexpected.empty());
  EXPECT_EQ(first_row(bindings, 4), 22u);
  EXPECT_EQ(bindings.tensors[7].runs.front().source_column, 14u);
  for (std::size_t tensor = 0; tensor < bindings.tensors.size(); ++tensor) {
    EXPECT_EQ(bindings.tensors[tensor].runs.front().map.log_of_negated, tensor == 9) << tensor;
  }
}

TEST(StateSpaceNames, AProductOfOtherSizesIsRefused) {
  Graph graph = graph_of();
  graph.state_space.heads = 3;
  EXPECT_NE(testing::error_of([&] {
              (void)bind(graph, hf_catalog(), false);
            }).find("has shape [32, 5], but the model config asks for"),
            std::string::npos);
}

}  // namespace
}  // namespace initrt
