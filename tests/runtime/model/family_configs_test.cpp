// What families read of configs as they are published, and what they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "runtime/model/family.h"
#include "sharding/checkpoint/checked_json.h"
#include "tests/sharding/errors.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

/// The config of a case of tests/golden/families.
Json config_of(const std::string& name) {
  const std::string path = source_path("tests/golden/families/" + name + "/config.json");
  std::ifstream file(path);
  return parse_json(std::string(std::istreambuf_iterator<char>(file), {}), path);
}

Json with(Json config, const char* key, const Json& value) {
  config[key] = value;
  return config;
}

std::string error_of_config(const Json& config) {
  return error_of([&] { (void)build_graph(config); });
}

std::vector<AttentionOp> attention_of(const Graph& graph) {
  std::vector<AttentionOp> ops;
  for (const Unit& unit : graph.units) {
    for (const Op& op : unit.ops) {
      if (const auto* attention = std::get_if<AttentionOp>(&op)) ops.push_back(*attention);
    }
  }
  return ops;
}

// Gemma 3 4B's text_config, which leaves out what its class has.
TEST(FamilyConfig, OfGemma3NeedsOnlyWhatDiffersFromItsClass) {
  const Graph graph = build_graph({{"model_type", "gemma3_text"},
                                   {"hidden_size", 2560},
                                   {"intermediate_size", 10240},
                                   {"num_hidden_layers", 34},
                                   {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                                   {"sliding_window", 1024}});
  EXPECT_EQ(graph.heads, 8u);
  EXPECT_EQ(graph.kv_heads, 4u);
  EXPECT_EQ(graph.head_size, 256u);
  EXPECT_EQ(graph.vocabulary, 262208u);
  EXPECT_GE(graph.context, 131072u);
  const std::vector<AttentionOp> attention = attention_of(graph);
  ASSERT_EQ(attention.size(), 34u);
  for (std::size_t layer = 0; layer < attention.size(); ++layer) {
    EXPECT_EQ(attention[layer].window, layer % 6 == 5 ? 0u : 1024u) << layer;
  }
  EXPECT_FLOAT_EQ(graph.rotary[0].frequencies[0], 1.0f / 8) << "global layers are stretched";
  EXPECT_FLOAT_EQ(graph.rotary[1].frequencies[0], 1.0f) << "local ones are not";
}

TEST(FamilyConfig, StretchedRotaryEmbeddingReachesFurtherThanTheConfigSays) {
  const Json llama = with(config_of("llama"), "max_position_embeddings", 4096);
  const auto context = [&](const Json& scaling) {
    return build_graph(with(llama, "rope_scaling", scaling)).context;
  };
  EXPECT_EQ(context(nullptr), 4096u);
  EXPECT_EQ(context({{"type", "linear"}, {"factor", 4.0}}), 16384u);
  EXPECT_EQ(context({{"type", "dynamic"}, {"factor", 2.0}}), 8192u);
  EXPECT_EQ(context({{"type", "yarn"}, {"factor", 4.0}}), 16384u);
  EXPECT_EQ(
      context({{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 1024}}),
      4096u)
      << "stretched already";
}

TEST(FamilyConfig, AnMscaleOfZeroIsNone) {
  const Json plain = {{"type", "yarn"}, {"factor", 4.0}};
  for (const char* family : {"llama", "deepseek_v3"}) {
    const auto graph = [&](const Json& scaling) {
      return build_graph(with(config_of(family), "rope_scaling", scaling));
    };
    const Graph expected = graph(plain);
    const Graph zero = graph(with(with(plain, "mscale", 1.0), "mscale_all_dim", 0));
    EXPECT_EQ(zero.rotary[0].attention_factor, expected.rotary[0].attention_factor) << family;
    EXPECT_EQ(attention_of(zero)[0].scale, attention_of(expected)[0].scale) << family;
  }
}

TEST(FamilyConfig, WhatIsLeftOfAStretchThatIsNoMoreScalesNoScores) {
  const Json left = {{"factor", 40.0}, {"mscale_all_dim", 1.0}};
  const auto scale = [](const Json& config) { return attention_of(build_graph(config))[0].scale; };
  Json unstretched = config_of("deepseek_v3");
  unstretched.erase("rope_scaling");
  unstretched.erase("rope_parameters");
  const float plain = scale(unstretched);
  EXPECT_EQ(scale(with(unstretched, "rope_scaling", with(left, "type", "default"))), plain);
  EXPECT_EQ(scale(with(unstretched, "rope_parameters", left)), plain);
  EXPECT_GT(scale(with(unstretched, "rope_scaling", with(left, "type", "yarn"))), plain);
}

TEST(FamilyConfig, OfDeepseeksExpertsHasWhatItsClassHas) {
  Json config = config_of("deepseek_v3");
  config["n_routed_experts"] = 16;
  config["num_hidden_layers"] = 4;
  const auto routes = [&] {
    std::vector<RouteOp> found;
    for (const Unit& unit : build_graph(config).units) {
      for (const Op& op : unit.ops) {
        if (const auto* route = std::get_if<RouteOp>(&op)) found.push_back(*route);
      }
    }
    return found;
  };
  for (const char* key :
       {"routed_scaling_factor", "n_group", "topk_group", "first_k_dense_replace"}) {
    config.erase(key);
  }
  ASSERT_EQ(routes().size(), 1u) << "three dense layers come first";
  EXPECT_EQ(routes()[0].routing.scale, 2.5f);
  EXPECT_EQ(routes()[0].routing.groups, 8u);
  EXPECT_EQ(routes()[0].routing.kept_groups, 4u);
}

TEST(FamilyConfig, DynamicScalingGoesByTheConfigsContext) {
  const Json scaling = {
      {"type", "dynamic"}, {"factor", 2.0}, {"original_max_position_embeddings", 7}};
  const Json config = with(config_of("llama_dynamic"), "rope_scaling", scaling);
  EXPECT_EQ(build_graph(config).rotary[0].original_context, config["max_position_embeddings"]);
}

TEST(FamilyConfig, SetsOfRotaryParametersAreRefusedWhereLayersAreOfOneKind) {
  const Json sets = {{"full_attention", {{"rope_type", "linear"}, {"factor", 4.0}}}};
  EXPECT_THAT(error_of_config(with(config_of("llama"), "rope_parameters", sets)),
              HasSubstr("a set for each kind of layer"));
}

TEST(FamilyConfig, OneSetOfRotaryParametersIsNotForGemma3sLocalLayers) {
  Json config = config_of("gemma3");
  config.erase("rope_scaling");
  config.erase("rope_local_base_freq");
  config["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 500.0}};
  const Graph graph = build_graph(config);
  EXPECT_EQ(graph.rotary[0].theta, 500.0);
  EXPECT_EQ(graph.rotary[1].theta, 10000.0);
  EXPECT_FLOAT_EQ(graph.rotary[1].frequencies[0], 1.0f);
}

TEST(FamilyConfig, WhetherWeightsAreQuantizedIsForTheTensorsToShow) {
  const Json fp8 = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  EXPECT_NO_THROW((void)build_graph(with(config_of("qwen3"), "quantization_config", fp8)));
}

TEST(FamilyConfig, TheClassMayBeTheModelWithoutItsHead) {
  for (const auto& [family, base] : {std::pair{"llama", "LlamaModel"},
                                     {"gpt2", "GPT2Model"},
                                     {"gpt_neox", "GPTNeoXModel"},
                                     {"gemma3", "Gemma3TextModel"},
                                     {"qwen3_moe", "Qwen3MoeModel"}}) {
    const Json config = with(config_of(family), "architectures", {base});
    EXPECT_EQ(build_graph(config).tensors.size(), build_graph(config_of(family)).tensors.size());
  }
  for (const char* other : {"LlamaForSequenceClassification", "LlamaModelX", "Llama", "Model"}) {
    EXPECT_THAT(error_of_config(with(config_of("llama"), "architectures", {other})),
                HasSubstr("unknown architecture"));
  }
}

TEST(FamilyConfig, LettersOfExaone4AreItsLayersInTurns) {
  Json config = with(config_of("exaone4"), "sliding_window_pattern", "LG");
  config.erase("layer_types");
  const std::vector<AttentionOp> attention = attention_of(build_graph(config));
  ASSERT_EQ(attention.size(), 4u);
  for (std::size_t layer = 0; layer < attention.size(); ++layer) {
    EXPECT_EQ(attention[layer].window > 0, layer % 2 == 0) << layer;
  }
  EXPECT_THAT(error_of_config(with(config, "sliding_window_pattern", "LLX")),
              HasSubstr("not made of L and G"));
}

TEST(FamilyConfig, QueriesThatGrowWithTheirPositionAreRotatedWhole) {
  Json config = config_of("ministral3");
  const Graph graph = build_graph(config);
  EXPECT_EQ(graph.rotary[0].step, 0u) << "keys do not";
  EXPECT_EQ(graph.rotary[1].step, 16u);
  config["rope_parameters"]["partial_rotary_factor"] = 0.5;
  EXPECT_THAT(error_of_config(config), HasSubstr("llama_4_scaling_beta"));
}

TEST(FamilyConfig, HunyuansAlphaStretchesWhateverTheLength) {
  const Json config = config_of("hunyuan_v1_dense");
  const Graph graph = build_graph(config);
  EXPECT_EQ(graph.rotary[0].original_context, 0u);
  EXPECT_NEAR(graph.rotary[0].theta, 1e4 * std::pow(1000.0, 16.0 / 14), 1);
}

TEST(FamilyConfig, OfQwen3NextHasADeltaNetInThreeOfFourLayers) {
  const Json config = config_of("../flagships/qwen3_next_80b");
  const Graph graph = build_graph(config);
  EXPECT_EQ(attention_of(graph).size(), 12u);
  EXPECT_EQ(attention_of(graph).front().layer, 3u);
  EXPECT_EQ(graph.rotary[0].dimensions, 64u);
  EXPECT_EQ(graph.states, 36u * 4) << "Q's, K's and V's convolutions, and the rule";

  EXPECT_THAT(error_of_config(with(config, "linear_num_key_heads", 5)),
              HasSubstr("is not a multiple of linear_num_key_heads (5)"));
  EXPECT_THAT(error_of_config(with(config, "linear_key_head_dim", 257)),
              HasSubstr("linear_key_head_dim is 257"));
  EXPECT_THAT(error_of_config(with(config, "linear_conv_kernel_dim", 1)),
              HasSubstr("linear_conv_kernel_dim"));
  EXPECT_THAT(error_of_config(with(config, "attn_output_gate", false)),
              HasSubstr("attn_output_gate"));
  EXPECT_THAT(error_of_config(with(config, "layer_types", Json(48, "sliding_attention"))),
              HasSubstr("expected full_attention or linear_attention"));
}

std::vector<StateSpaceOp> state_spaces_of(const Graph& graph) {
  std::vector<StateSpaceOp> ops;
  for (const Unit& unit : graph.units) {
    for (const Op& op : unit.ops) {
      if (const auto* space = std::get_if<StateSpaceOp>(&op)) ops.push_back(*space);
    }
  }
  return ops;
}

TEST(FamilyConfig, OfGranite4SaysWhichLayersAreMambas) {
  const Json config = config_of("granitemoehybrid");
  const Graph graph = build_graph(config);
  EXPECT_EQ(state_spaces_of(graph).size(), 2u);
  EXPECT_EQ(state_spaces_of(graph).front().head_size, 12u) << "mamba_d_head is auto";
  EXPECT_EQ(attention_of(graph).size(), 1u);
  EXPECT_EQ(graph.states, 2u * 4) << "x's, b's and c's convolutions, and the state space";
  const Json spelled =
      with(config, "layer_types", {"linear_attention", "full_attention", "linear_attention"});
  EXPECT_EQ(state_spaces_of(build_graph(spelled)).size(), 2u);

  EXPECT_THAT(error_of_config(with(config, "layer_types", {"mamba", "moe", "mamba"})),
              HasSubstr("layer_types has \"moe\", expected one of: mamba"));
  EXPECT_THAT(error_of_config(with(config, "layer_types", {"mamba"})), HasSubstr("of 3 layers"));
  EXPECT_THAT(error_of_config(with(config, "mamba_n_groups", 3)),
              HasSubstr("is not a multiple of mamba_n_groups (3)"));
  EXPECT_THAT(error_of_config(with(config, "mamba_d_state", 257)), HasSubstr("mamba_d_state"));
  EXPECT_THAT(error_of_config(with(config, "mamba_d_head", 16)),
              HasSubstr("8 heads of 16 elements are not mamba_expand x hidden_size, 96"));
  EXPECT_THAT(error_of_config(with(config, "hidden_act", "gelu")),
              HasSubstr("hidden_act is \"gelu\", expected silu before a state space"));
  EXPECT_THAT(error_of_config(with(config, "time_step_limit", {0.001, 100.0})),
              HasSubstr("time_step_limit is [0.001,100.0], expected from 0 to Infinity"));
}

TEST(FamilyConfig, OfNemotronHasALetterForEachLayer) {
  Json config = config_of("nemotron_h_experts");
  config.erase("num_hidden_layers");
  const Graph graph = build_graph(with(config, "hybrid_override_pattern", "MM-*E"));
  EXPECT_EQ(graph.layers, 5u);
  EXPECT_EQ(state_spaces_of(graph).size(), 2u);
  ASSERT_EQ(attention_of(graph).size(), 1u);
  EXPECT_EQ(attention_of(graph).front().layer, 3u);
  EXPECT_THAT(error_of_config(with(config, "hybrid_override_pattern", "MMX")),
              HasSubstr("a letter for each layer"));
  EXPECT_THAT(error_of_config(with(config, "hybrid_override_pattern", nullptr)),
              HasSubstr("hybrid_override_pattern is missing"));
}

// The text_config of Llama 4 Maverick, without what its class has too.
TEST(FamilyConfig, OfLlama4SeesAllOfASequenceInLayersWithoutPositions) {
  Json config = {{"model_type", "llama4_text"},
                 {"hidden_size", 5120},
                 {"intermediate_size", 8192},
                 {"intermediate_size_mlp", 16384},
                 {"num_hidden_layers", 48},
                 {"num_attention_heads", 40},
                 {"num_key_value_heads", 8},
                 {"head_dim", 128},
                 {"num_local_experts", 128},
                 {"num_experts_per_tok", 1},
                 {"interleave_moe_layer_step", 2},
                 {"attn_temperature_tuning", 4},
                 {"no_rope_layers", Json::array()},
                 {"use_qk_norm", false},
                 {"vocab_size", 202048}};
  const Graph graph = build_graph(config);
  const std::vector<AttentionOp> attention = attention_of(graph);
  ASSERT_EQ(attention.size(), 48u);
  for (std::size_t layer = 0; layer < attention.size(); ++layer) {
    EXPECT_EQ(attention[layer].window, layer % 4 == 3 ? 0u : 8192u) << layer;
    EXPECT_EQ(attention[layer].chunks, layer % 4 != 3) << layer;
  }
  EXPECT_EQ(graph.rotary[1].step, 8192u);
  EXPECT_EQ(std::ranges::count(graph.units, UnitKind::Expert, &Unit::kind), 24 * 128);

  config["no_rope_layers"] = {1, 0};
  EXPECT_THAT(error_of_config(config), HasSubstr("no_rope_layers is not a list of 48 layers"));
  config.erase("no_rope_layers");
  config["layer_types"] = Json(48, "sliding_attention");
  EXPECT_THAT(error_of_config(config), HasSubstr("expected full_attention or chunked_attention"));
}

// Sizes of Gemma 4 31B, as its maker and as transformers 5 spells them.
TEST(FamilyConfig, OfGemma4HasLargerHeadsWhereAllIsSeen) {
  Json config = {
      {"model_type", "gemma4_text"},      {"hidden_size", 5376},       {"intermediate_size", 21504},
      {"num_hidden_layers", 12},          {"num_attention_heads", 32}, {"num_key_value_heads", 16},
      {"num_global_key_value_heads", 4},  {"global_head_dim", 512},    {"attention_k_eq_v", true},
      {"hidden_size_per_layer_input", 0}, {"sliding_window", 1024}};
  const auto expect_heads = [](const std::vector<AttentionOp>& attention) {
    ASSERT_EQ(attention.size(), 12u);
    for (std::size_t layer = 0; layer < attention.size(); ++layer) {
      const bool all = layer % 6 == 5;
      EXPECT_EQ(attention[layer].window, all ? 0u : 1024u) << layer;
      EXPECT_EQ(attention[layer].head_size, all ? 512u : 256u) << layer;
      EXPECT_EQ(attention[layer].kv_heads, all ? 4u : 16u) << layer;
      EXPECT_EQ(attention[layer].scale, 1.0f);
    }
  };
  const Graph graph = build_graph(config);
  expect_heads(attention_of(graph));
  EXPECT_EQ(graph.rotary[0].frequencies.size(), 256u);
  EXPECT_GT(graph.rotary[0].frequencies[63], 0.0f);
  EXPECT_EQ(graph.rotary[0].frequencies[64], 0.0f) << "three quarters stand still";
  const auto has = [&](const std::string& name) {
    return std::ranges::any_of(graph.tensors, [&](const Tensor& t) { return t.name == name; });
  };
  EXPECT_TRUE(has("model.layers.4.self_attn.v_proj.weight"));
  EXPECT_FALSE(has("model.layers.5.self_attn.v_proj.weight"));

  config.erase("num_global_key_value_heads");
  config.erase("global_head_dim");
  const Json sizes = {{"head_dim", 512}, {"num_key_value_heads", 4}};
  config["per_layer_config"] = {{"5", sizes}, {"11", sizes}};
  expect_heads(attention_of(build_graph(config)));
  config["per_layer_config"]["5"]["head_dim"] = 256;
  EXPECT_THAT(error_of_config(config), HasSubstr("heads of layers 5 and 11 differ"));
  config["per_layer_config"] = {5};
  EXPECT_THAT(error_of_config(config), HasSubstr("per_layer_config"));
  EXPECT_THAT(error_of_config(with(config, "use_bidirectional_attention", "all")),
              HasSubstr("use_bidirectional_attention"));
}

// Sizes of Gemma 4 E2B.
TEST(FamilyConfig, OfGemma4SharesKeysOfTheLastLayerOfAKind) {
  const Json types(15, "sliding_attention");
  Json config = {
      {"model_type", "gemma4_text"}, {"hidden_size", 1536},       {"intermediate_size", 6144},
      {"num_hidden_layers", 15},     {"num_attention_heads", 8},  {"num_key_value_heads", 1},
      {"layer_types", types},        {"num_kv_shared_layers", 5}, {"use_double_wide_mlp", true}};
  config["layer_types"][4] = config["layer_types"][9] = config["layer_types"][14] =
      "full_attention";
  const Graph graph = build_graph(config);
  const std::vector<AttentionOp> attention = attention_of(graph);
  ASSERT_EQ(attention.size(), 15u);
  for (std::uint32_t layer = 0; layer < 15; ++layer) {
    EXPECT_EQ(attention[layer].k.has_value(), layer < 10) << layer;
    EXPECT_EQ(attention[layer].layer, layer < 10 ? layer : layer == 14 ? 9 : 8) << layer;
  }
  EXPECT_EQ(graph.further_tables.size(), 1u);
  EXPECT_EQ(graph.activations[graph.embedded].columns, 1536u + 15 * 256);

  EXPECT_THAT(error_of_config(with(config, "num_kv_shared_layers", 11)),
              HasSubstr("num_kv_shared_layers is 11"));
  EXPECT_THAT(error_of_config(with(config, "vocab_size_per_layer_input", 7)),
              HasSubstr("vocab_size_per_layer_input is 7"));
}

TEST(FamilyConfig, WhatNoFamilyComputesIsRefused) {
  EXPECT_THAT(error_of_config(with(config_of("falcon_40b"), "parallel_attn", false)),
              HasSubstr("parallel_attn"));
  EXPECT_THAT(error_of_config(with(config_of("falcon_40b"), "num_kv_heads", 4)),
              HasSubstr("num_attention_heads (6) is not a multiple of num_kv_heads (4)"));
  EXPECT_THAT(error_of_config(with(config_of("phi"), "qk_layernorm", true)),
              HasSubstr("qk_layernorm"));
  EXPECT_THAT(error_of_config(with(config_of("cohere"), "partial_rotary_factor", 0.5)),
              HasSubstr("6 of 12 elements of a head"));
  EXPECT_THAT(error_of_config(with(config_of("gpt2"), "scale_attn_by_inverse_layer_idx", true)),
              HasSubstr("scale_attn_by_inverse_layer_idx"));
  EXPECT_THAT(error_of_config(with(config_of("gemma2"), "attn_logit_softcapping", 1e-30)),
              HasSubstr("attn_logit_softcapping"));
  EXPECT_THAT(error_of_config(with(config_of("mistral"), "layer_types", {"full_attention"})),
              HasSubstr("layer_types"));
}

TEST(FamilyConfig, ExpertsThatDoNotAddUpAreRefused) {
  EXPECT_THAT(error_of_config(with(config_of("mixtral"), "num_experts_per_tok", 5)),
              HasSubstr("5 of 4 experts"));
  EXPECT_THAT(error_of_config(with(config_of("mixtral"), "num_local_experts", 0)),
              HasSubstr("num_local_experts"));
  Json many = with(config_of("qwen3_moe"), "num_local_experts", 4096);
  many["num_hidden_layers"] = 64;
  EXPECT_THAT(error_of_config(many), HasSubstr("4096 experts in each of 64 layers"));
}

// As configs of transformers 5 say it, and those made of GGUF files with two bases.
TEST(FamilyConfig, OfOlmo3MayHaveABaseOfRopeForEachKindOfLayer) {
  Json config = config_of("olmo3");
  const Json scaling = config["rope_scaling"];
  config.erase("rope_scaling");
  config.erase("rope_theta");
  config["rope_parameters"] = {{"full_attention", scaling},
                               {"sliding_attention", {{"rope_theta", 1e4}}}};
  config["rope_parameters"]["full_attention"]["rope_theta"] = 5e5;
  const Graph graph = build_graph(config);
  ASSERT_EQ(graph.rotary.size(), 2u);
  for (const Unit& unit : graph.units) {
    bool slides = false;
    for (const Op& op : unit.ops) {
      if (const auto* attention = std::get_if<AttentionOp>(&op)) slides = attention->window > 0;
    }
    for (const Op& op : unit.ops) {
      const auto* rotary = std::get_if<RotaryOp>(&op);
      if (rotary == nullptr) continue;
      EXPECT_EQ(graph.rotary[rotary->rotary].theta, slides ? 1e4 : 5e5) << unit.name;
      EXPECT_EQ(graph.rotary[rotary->rotary].attention_factor == 1.0f, slides) << unit.name;
    }
  }
}

}  // namespace
}  // namespace initrt::testing
