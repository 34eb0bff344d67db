// Experts that are stored in one tensor, and under names that other versions of a library give
// them.
#include <gtest/gtest.h>

#include "sharding/checkpoint/names/hf_form.h"
#include "sharding/checkpoint/names/names.h"
#include "sharding/read_plan.h"
#include "tests/sharding/checkpoint/names/small_graph.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::add_tensor;
using testing::error_of;
using testing::source_of;

constexpr std::uint64_t kExperts = 3, kWide = 5, kHidden = 4;

// As Mixtral's are before transformers 5.
constexpr NamePair kOwnNames[] = {
    {"mlp.gate", "block_sparse_moe.gate"},
    {"mlp.experts.*.gate_proj", "block_sparse_moe.experts.*.w1"},
    {"mlp.experts.*.up_proj", "block_sparse_moe.experts.*.w3"},
    {"mlp.experts.*.down_proj", "block_sparse_moe.experts.*.w2"},
};

/// Embedding, router, and then gate, up and down projection of each expert.
Graph graph_of_experts(bool own_names) {
  Graph graph;
  if (own_names) graph.hf_names.table = {{}, "model.layers.", kOwnNames};
  graph.tensors = {{"model.embed_tokens.weight", 9, kHidden},
                   {"model.layers.0.mlp.gate.weight", kExperts, kHidden}};
  for (std::uint64_t e = 0; e < kExperts; ++e) {
    const std::string expert = "model.layers.0.mlp.experts." + std::to_string(e) + ".";
    graph.tensors.push_back({expert + "gate_proj.weight", kWide, kHidden});
    graph.tensors.push_back({expert + "up_proj.weight", kWide, kHidden});
    graph.tensors.push_back({expert + "down_proj.weight", kHidden, kWide});
  }
  return graph;
}

/// The index of an expert's gate projection; the others follow.
std::size_t first_of(std::uint64_t expert) { return 2 + 3 * expert; }

/// As transformers 5 holds them.
Catalog fused(const std::string& prefix, std::uint64_t experts = kExperts) {
  Catalog catalog;
  catalog.path = "model";
  add_tensor(catalog, prefix + "embed_tokens.weight", DType::F32, {9, kHidden});
  const std::string mlp = prefix + "layers.0.mlp.";
  add_tensor(catalog, mlp + "gate.weight", DType::F32, {kExperts, kHidden});
  add_tensor(catalog, mlp + "experts.gate_up_proj", DType::F32, {experts, 2 * kWide, kHidden});
  add_tensor(catalog, mlp + "experts.down_proj", DType::F32, {experts, kHidden, kWide});
  catalog.finish();
  return catalog;
}

/// The bytes of the file that one tensor is read from, which must be in one piece.
std::pair<std::uint64_t, std::uint64_t> bytes_read(const Graph& graph, const Bindings& bindings,
                                                   const Catalog& catalog, std::size_t tensor) {
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  plan_elements(graph.tensors[tensor], bindings.tensors[tensor], catalog, 0,
                graph.tensors[tensor].elements(), 0, DType::F32, pieces);
  EXPECT_EQ(pieces.size(), 1u);
  return {pieces.at(0).second.offset, pieces.at(0).second.bytes};
}

TEST(FusedExperts, EachIsItsOwnRowsOfTheTensorAndNoOthersAreRead) {
  for (const bool own_names : {false, true}) {
    for (const char* prefix : {"model.", "model.language_model.", "module.model."}) {
      const Graph graph = graph_of_experts(own_names);
      const Catalog catalog = fused(prefix);
      const Bindings bindings = bind(graph, catalog, false);
      EXPECT_TRUE(bindings.unexpected.empty());
      EXPECT_EQ(source_of(bindings, catalog, 1), std::string(prefix) + "layers.0.mlp.gate.weight");
      const std::uint64_t gate_up = catalog.tensors[2].parts[0].offset;
      const std::uint64_t down = catalog.tensors[3].parts[0].offset;
      constexpr std::uint64_t kMatrix = kWide * kHidden * 4;
      using Bytes = std::pair<std::uint64_t, std::uint64_t>;
      for (std::uint64_t e = 0; e < kExperts; ++e) {
        const auto read = [&](std::size_t projection) {
          return bytes_read(graph, bindings, catalog, first_of(e) + projection);
        };
        EXPECT_EQ(read(0), Bytes(gate_up + 2 * e * kMatrix, kMatrix));
        EXPECT_EQ(read(1), Bytes(gate_up + (2 * e + 1) * kMatrix, kMatrix));
        EXPECT_EQ(read(2), Bytes(down + e * kMatrix, kMatrix));
      }
    }
  }
}

TEST(FusedExperts, AreSeveralTensorsInMlxsNames) {
  for (const std::string module : {"mlp", "block_sparse_moe"}) {
    const std::string mlp = "model.layers.0." + module + ".";
    Catalog catalog;
    add_tensor(catalog, "model.embed_tokens.weight", DType::F32, {9, kHidden});
    add_tensor(catalog, mlp + "gate.weight", DType::F32, {kExperts, kHidden});
    for (const char* projection : {"gate_proj", "up_proj"}) {
      add_tensor(catalog, mlp + "switch_mlp." + projection + ".weight", DType::F32,
                 {kExperts, kWide, kHidden});
    }
    add_tensor(catalog, mlp + "switch_mlp.down_proj.weight", DType::F32,
               {kExperts, kHidden, kWide});
    catalog.finish();
    const Graph graph = graph_of_experts(module != "mlp");
    const Bindings bindings = bind(graph, catalog, false);
    EXPECT_EQ(bytes_read(graph, bindings, catalog, first_of(2) + 1).first,
              catalog.tensors[3].parts[0].offset + 2 * kWide * kHidden * 4);
  }
}

TEST(FusedExperts, OfOtherShapesAreErrors) {
  EXPECT_EQ(error_of([] { (void)bind(graph_of_experts(true), fused("model.", 2), false); }),
            "model/file: tensor \"model.layers.0.mlp.experts.gate_up_proj\" has shape [2, 10, 4], "
            "but the model config asks for [10, 4]");
  Graph graph = graph_of_experts(false);
  for (Tensor& tensor : graph.tensors) {
    if (tensor.name.ends_with("up_proj.weight")) tensor.rows = UINT64_MAX / 2;
  }
  EXPECT_FALSE(error_of([&] { (void)bind(graph, fused("model."), false); }).empty());
}

TEST(Experts, MayHaveTransformers5sNamesWhileTheyAreApart) {
  const Graph graph = graph_of_experts(true);
  Catalog catalog;
  for (const Tensor& tensor : graph.tensors) {
    add_tensor(catalog, tensor.name, DType::F32, {tensor.rows, tensor.columns});
  }
  catalog.finish();
  const Bindings bindings = bind(graph, catalog, false);
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    EXPECT_EQ(source_of(bindings, catalog, i), graph.tensors[i].name);
  }
}

TEST(FusedExperts, AreWrittenUnderTheFamilysOwnNames) {
  const Graph graph = graph_of_experts(true);
  const std::vector<HfTensor> written = hf_tensors(graph, bind(graph, fused("model."), false));
  ASSERT_EQ(written.size(), graph.tensors.size());
  const HfTensor& up = written[first_of(1) + 1];
  EXPECT_EQ(up.tensor.name, "model.layers.0.block_sparse_moe.experts.1.w3.weight");
  EXPECT_EQ(up.binding.runs.at(0).source_row, 3 * kWide);
}

TEST(Experts, MayBeQuantizedOneByOneUnderTheFamilysOwnNamesOrTheCanonical) {
  for (const bool own_names : {false, true}) {
    const Graph graph = graph_of_experts(true);
    Catalog catalog;
    catalog.path = "model";
    const std::string block =
        own_names ? "model.layers.0.block_sparse_moe." : "model.layers.0.mlp.";
    add_tensor(catalog, "model.embed_tokens.weight", DType::BF16, {9, kHidden});
    add_tensor(catalog, block + "gate.weight", DType::BF16, {kExperts, kHidden});
    for (std::uint64_t e = 0; e < kExperts; ++e) {
      const std::string expert = block + "experts." + std::to_string(e) + ".";
      const auto add = [&](const char* name, std::uint64_t rows, std::uint64_t columns) {
        const std::uint64_t groups = (columns + 3) / 4, words = (rows + 7) / 8;
        add_tensor(catalog, expert + name + ".qweight", DType::I32, {columns, words});
        add_tensor(catalog, expert + name + ".qzeros", DType::I32, {groups, words});
        add_tensor(catalog, expert + name + ".scales", DType::F16, {groups, rows});
      };
      add(own_names ? "w1" : "gate_proj", kWide, kHidden);
      add(own_names ? "w3" : "up_proj", kWide, kHidden);
      add(own_names ? "w2" : "down_proj", kHidden, kWide);
    }
    catalog.finish();
    catalog.config = {{"quantization_config", {{"quant_method", "awq"}, {"group_size", 4}}}};
    const Bindings bindings = bind(graph, catalog, false);
    EXPECT_TRUE(bindings.unexpected.empty());
    EXPECT_FALSE(bindings.tensors[1].quantized);
    for (std::uint64_t e = 0; e < kExperts; ++e) {
      const std::string expert = block + "experts." + std::to_string(e) + ".";
      EXPECT_EQ(source_of(bindings, catalog, first_of(e)),
                expert + (own_names ? "w1" : "gate_proj") + ".qweight");
      EXPECT_TRUE(bindings.tensors[first_of(e) + 2].quantized);
    }
  }
}

}  // namespace
}  // namespace initrt
