// Configs of models whose layers are of several kinds, from GGUF metadata.
#include "sharding/checkpoint/config/gguf_hybrid.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sharding/checkpoint/config/gguf_config.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using Json = nlohmann::json;
using testing::error_of;

Json small_granite() {
  return {{"granitehybrid.block_count", 3},
          {"granitehybrid.embedding_length", 48},
          {"granitehybrid.attention.head_count_kv", {0, 2, 0}},
          {"granitehybrid.rope.scaling.finetuned", false},
          {"granitehybrid.ssm.conv_kernel", 4},
          {"granitehybrid.ssm.state_size", 10},
          {"granitehybrid.ssm.group_count", 2},
          {"granitehybrid.ssm.inner_size", 96},
          {"granitehybrid.ssm.time_step_rank", 8}};
}

Json granite_config(const Json& metadata, const std::vector<std::string>& tensors = {}) {
  std::vector<TensorEntry> entries(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) entries[i].name = tensors[i];
  const ReadFloats none;
  Json config;
  add_granite_hybrid(GgufSource(metadata, "granitehybrid", entries, none), config);
  return config;
}

TEST(GgufHybrid, LayersWithoutHeadsOfKeysAreStateSpaces) {
  const Json config = granite_config(
      small_granite(), {"blk.0.ssm_conv1d.bias", "blk.1.attn_q.bias", "blk.1.ssm_in.bias"});
  EXPECT_EQ(config["layer_types"], Json({"mamba", "attention", "mamba"}));
  EXPECT_EQ(config["position_embedding_type"], "nope");
  EXPECT_EQ(config["mamba_d_head"], 12);
  EXPECT_EQ(config["mamba_expand"], 2);
  EXPECT_EQ(config["attention_bias"], true);
  EXPECT_EQ(config["mamba_conv_bias"], true);
  EXPECT_EQ(config["mamba_proj_bias"], false) << "of the first layer of the kind";
}

TEST(GgufHybrid, LayersOfNemotronAreToldByTwoCounts) {
  Json metadata;
  const Json granite = small_granite();
  for (const auto& [key, value] : granite.items()) metadata["nemotron_h" + key.substr(13)] = value;
  metadata["nemotron_h.feed_forward_length"] = {80, 0, 0};
  const ReadFloats none;
  Json config;
  add_nemotron_h(GgufSource(metadata, "nemotron_h", {}, none), config);
  EXPECT_EQ(config["layers_block_type"], Json({"mlp", "attention", "mamba"}));
  metadata["nemotron_h.expert_count"] = 4;
  add_nemotron_h(GgufSource(metadata, "nemotron_h", {}, none), config);
  EXPECT_EQ(config["layers_block_type"], Json({"moe", "attention", "mamba"}));
  metadata["nemotron_h.nextn_predict_layers"] = 1;
  add_nemotron_h(GgufSource(metadata, "nemotron_h", {}, none), config);
  EXPECT_EQ(config["layers_block_type"], Json({"moe", "attention"}));
}

TEST(GgufHybrid, CountsOfLayersAreOneNumberAndZeros) {
  Json values = {{"a.block_count", 3}, {"a.b", {0, 2, 2}}, {"a.one", 5}};
  const GgufMetadata metadata(values, "a");
  EXPECT_EQ(hybrid_count(metadata, ".b"), 2u);
  EXPECT_EQ(hybrid_count(metadata, ".one"), 5u);
  EXPECT_EQ(metadata.by_layer(".one"), (std::vector<std::uint64_t>{5, 5, 5}));
  EXPECT_EQ(metadata.need_counts(".one"), metadata.by_layer(".one"));
  EXPECT_EQ(error_of([&] { (void)metadata.need_counts(".b"); }),
            "GGUF metadata key \"a.b\" is not a list of 3 numbers above 0");
  const auto error_with = [&](const Json& value) {
    values["a.b"] = value;
    return error_of([&] { (void)hybrid_count(metadata, ".b"); });
  };
  EXPECT_EQ(error_with({0, 2, 3}),
            "GGUF metadata key \"a.b\" is 2 in one layer and 3 in another: not supported");
  EXPECT_EQ(error_with({0, 0, 0}), "GGUF metadata key \"a.b\" is 0 in all layers");
  EXPECT_EQ(error_with({0, 2}), "GGUF metadata key \"a.b\" has 2 numbers for 3 layers");
  EXPECT_EQ(error_with({0, 2, -1}), "GGUF metadata key \"a.b\" is not a list of numbers from 0 on");
  values["a.block_count"] = 5000;
  EXPECT_EQ(error_with(1), "GGUF metadata: 5000 layers; the most is 4096");
  values["a.block_count"] = 3;
  values.erase("a.b");
  EXPECT_EQ(error_of([&] { (void)hybrid_count(metadata, ".b"); }),
            "GGUF metadata key \"a.b\" is missing");
}

TEST(GgufHybrid, HeadsThatDoNotMakeUpTheStateSpaceAreRefused) {
  Json metadata = small_granite();
  metadata["granitehybrid.ssm.time_step_rank"] = 7;
  EXPECT_EQ(error_of([&] { (void)granite_config(metadata); }),
            "GGUF metadata: 7 heads of state spaces over 96 elements");
}

// llama.cpp's converter leaves out what the config of a model with experts in all layers does.
TEST(GgufHybrid, OfQwen35WithExpertsNoOtherFeedForwardNeedBeSaid) {
  Json metadata = {{"general.architecture", "qwen35moe"}};
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, int>>{{"embedding_length", 48},
                                                          {"block_count", 3},
                                                          {"attention.head_count", 4},
                                                          {"context_length", 128},
                                                          {"expert_count", 8},
                                                          {"expert_used_count", 2},
                                                          {"expert_feed_forward_length", 32},
                                                          {"expert_shared_feed_forward_length", 40},
                                                          {"ssm.conv_kernel", 4},
                                                          {"ssm.state_size", 8},
                                                          {"ssm.group_count", 2},
                                                          {"ssm.inner_size", 48},
                                                          {"ssm.time_step_rank", 6},
                                                          {"nextn_predict_layers", 1},
                                                          {"vocab_size", 50}}) {
    metadata[std::string("qwen35moe.") + key] = value;
  }
  const auto config_of = [&] {
    return config_from_gguf(metadata, {}, [](const TensorEntry&) { return std::vector<float>(); });
  };
  const Json config = config_of();
  EXPECT_EQ(config["model_type"], "qwen3_5_moe_text");
  EXPECT_FALSE(config.contains("intermediate_size"));
  EXPECT_EQ(config["num_hidden_layers"], 2) << "one of the three guesses further tokens";
  EXPECT_EQ(config["linear_num_value_heads"], 6);
  EXPECT_EQ(config["linear_value_head_dim"], 8);
  EXPECT_EQ(config["shared_expert_intermediate_size"], 40);
  metadata["general.architecture"] = "qwen35";
  const Json experts = metadata;
  for (const auto& [key, value] : experts.items()) {
    if (key.starts_with("qwen35moe")) metadata["qwen35" + key.substr(9)] = value;
  }
  EXPECT_EQ(error_of([&] { (void)config_of(); }),
            "GGUF metadata key \"qwen35.feed_forward_length\" is missing or 0");
}

}  // namespace
}  // namespace initrt
