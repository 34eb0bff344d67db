// Weights packed in words, as GPTQ's and AWQ's programs write them, and what is refused of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sharding/checkpoint/names/small_graph.h"
#include "tests/sharding/checkpoint/quantized/quantized_ways.h"
#include "tests/sharding/errors.h"

namespace initrt::testing {
namespace {

using ::testing::HasSubstr;

TEST(FindGptqAndAwq, ScalesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_THAT(error_with("Gptq4", {"scales", DType::F16, {4, 64}}),
              HasSubstr("scales\" has shape [4, 64], but the config says group_size 32"));
  EXPECT_THAT(error_with("Gptq4", {"qzeros", DType::I32, {3, 7}}), HasSubstr("asks for [3, 8]"));
  EXPECT_THAT(error_with("Gptq4", {"g_idx", DType::I32, {95}}), HasSubstr("asks for [96]"));
  EXPECT_THAT(error_with("Awq", {"scales", DType::F16, {3, 63}}), HasSubstr("asks for [3, 64]"));
}

TEST(FindGptqAndAwq, CodesOfAnotherShapeNameTheOneThatIsExpected) {
  EXPECT_THAT(error_with("Gptq4", {"qweight", DType::I32, {13, 64}}),
              HasSubstr("the config says 4 bits for a weight of [64, 96]: expected [12, 64]"));
  EXPECT_THAT(error_with("Awq", {"qweight", DType::I32, {96, 9}}), HasSubstr("asks for [96, 8]"));
}

TEST(FindGptqAndAwq, DtypesThatNoLibraryWritesAreErrors) {
  EXPECT_THAT(error_with("Gptq4", {"qweight", DType::U32, {12, 64}}), HasSubstr("expected I32"));
}

TEST(FindGptqAndAwq, WhatIsMissingBesideAWeightIsNamed) {
  EXPECT_THAT(error_lacking("Gptq4", "scales"),
              HasSubstr("qweight\" is quantized, but \"scales\" is not beside it"));
  EXPECT_THAT(error_under("Gptq8", changed(gptq(8, -1), "desc_act", true)),
              HasSubstr("\"g_idx\" is not beside it"));
  EXPECT_THAT(error_lacking("Awq", "qzeros"), HasSubstr("\"qzeros\" is not beside it"));
}

TEST(FindGptqAndAwq, AConfigThatSaysOtherwiseIsAnError) {
  EXPECT_THAT(error_under("Gptq4", Json()), HasSubstr("no quantization_config"));
  EXPECT_THAT(error_under("Gptq4", gptq(8, 32)), HasSubstr("says 8 bits"));
  EXPECT_THAT(error_under("Gptq4", gptq(3, 32)), HasSubstr("expected 2, 4 or 8 bits"));
  EXPECT_THAT(error_under("Gptq4", gptq(4, 128)), HasSubstr("group_size 128"));
  EXPECT_THAT(error_under("Gptq4", changed(gptq(4, 32), "checkpoint_format", "marlin")),
              HasSubstr("in the format \"marlin\""));
  EXPECT_THAT(error_under("Awq", Json()), HasSubstr("no quantization_config"));
  EXPECT_THAT(error_under("Awq", changed(way("Awq").config, "version", "gemv")),
              HasSubstr("version \"gemv\": expected 4 bits and \"gemm\""));
}

TEST(FindGptqAndAwq, FusedWeightsAreRowsOfOneQuantizedWeight) {
  Graph graph = small_graph();
  graph.heads = 4;
  graph.kv_heads = 2;
  graph.head_size = 8;
  graph.hf_names.table.block_prefix = "model.layers.";
  static constexpr NamePair kFused[] = {{"self_attn.q_proj", "self_attn.qkv_proj"},
                                        {"self_attn.k_proj", "self_attn.qkv_proj"},
                                        {"self_attn.v_proj", "self_attn.qkv_proj"}};
  graph.hf_names.table.in_block = kFused;
  graph.tensors.pop_back();
  for (const auto& [name, rows] :
       {std::pair{"q_proj", 32u}, std::pair{"k_proj", 16u}, std::pair{"v_proj", 16u}}) {
    graph.tensors.push_back(
        {std::string("model.layers.0.self_attn.") + name + ".weight", rows, 32, false, 0});
  }
  Catalog catalog =
      testing::catalog_of({"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"});
  const std::string module = "model.layers.0.self_attn.qkv_proj.";
  add_tensor(catalog, module + "qweight", DType::I32, {4, 64});
  add_tensor(catalog, module + "qzeros", DType::I32, {1, 8});
  add_tensor(catalog, module + "scales", DType::F16, {1, 64});
  catalog.finish();
  catalog.config = {{"quantization_config", gptq(4, 32)}};
  const Bindings bindings = bind(graph, catalog, false);
  for (const auto& [tensor, row] : {std::pair{3, 0u}, std::pair{4, 32u}, std::pair{5, 48u}}) {
    const Binding& binding = bindings.tensors[static_cast<std::size_t>(tensor)];
    ASSERT_TRUE(binding.quantized);
    EXPECT_EQ(binding.quantized->rows, 64u);
    EXPECT_EQ(binding.runs[0].source_row, row);
  }
  EXPECT_EQ(bindings.payload_bytes, 3u * 128 + 4 * 64 * 4 + 8 * 4 + 64 * 2);
}

}  // namespace
}  // namespace initrt::testing
