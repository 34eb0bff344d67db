#include "sharding/checkpoint/config/gguf_config.h"

#include <gtest/gtest.h>

#include "sharding/checkpoint/formats.h"
#include "tests/sharding/checkpoint/header_writers.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using Json = nlohmann::json;
using testing::error_of;

/// SmolLM2-135M's metadata, as its GGUF file has it.
Json small_llama() {
  return {{"general.architecture", "llama"},
          {"llama.embedding_length", 576},
          {"llama.feed_forward_length", 1536},
          {"llama.block_count", 30},
          {"llama.attention.head_count", 9},
          {"llama.attention.head_count_kv", 3},
          {"llama.context_length", 8192},
          {"llama.rope.dimension_count", 64},
          {"llama.rope.freq_base", 100000.0},
          {"llama.attention.layer_norm_rms_epsilon", static_cast<double>(1e-5f)},
          {"tokenizer.ggml.eos_token_id", 2}};
}

/// The same sizes in a file of another architecture.
Json small_llama_as(const std::string& architecture) {
  Json metadata = {{"general.architecture", architecture}};
  const Json llama = small_llama();
  for (const auto& [key, value] : llama.items()) {
    if (key.starts_with("llama.")) metadata[architecture + key.substr(5)] = value;
  }
  return metadata;
}

std::vector<TensorEntry> table(std::vector<std::string> others = {}) {
  std::vector<TensorEntry> tensors = {
      testing::dense_entry("token_embd.weight", DType::Q8_0, {49'152, 576}, 0, 0)};
  for (std::string& name : others) {
    tensors.push_back(testing::dense_entry(std::move(name), DType::F32, {1}, 0, 0));
  }
  return tensors;
}

/// Every small tensor of the file is one of two factors.
Json config_of(const Json& metadata, const std::vector<TensorEntry>& tensors) {
  return config_from_gguf(metadata, tensors, [](const TensorEntry&) {
    return std::vector<float>{1.0f, 8.0f};
  });
}

Json with(const char* key, Json value) {
  Json metadata = small_llama();
  metadata[key] = std::move(value);
  return metadata;
}

std::string error_with(const Json& metadata) {
  return error_of([&] { (void)config_of(metadata, table()); });
}

TEST(GgufConfig, IsTheHuggingFaceConfigOfTheModel) {
  const Json config = config_of(small_llama(), table());
  EXPECT_EQ(config["architectures"], Json({"LlamaForCausalLM"}));
  EXPECT_EQ(config["hidden_size"], 576);
  EXPECT_EQ(config["intermediate_size"], 1536);
  EXPECT_EQ(config["num_hidden_layers"], 30);
  EXPECT_EQ(config["num_attention_heads"], 9);
  EXPECT_EQ(config["num_key_value_heads"], 3);
  EXPECT_EQ(config["head_dim"], 64);
  EXPECT_EQ(config["vocab_size"], 49'152);
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);  // not the float's 9.999999747378752e-06
  EXPECT_EQ(config["rope_theta"], 100000.0);
  EXPECT_TRUE(config["rope_scaling"].is_null());
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["eos_token_id"], 2);
  EXPECT_TRUE(config["bos_token_id"].is_null());
}

TEST(GgufConfig, TensorsDecideWhatMetadataDoesNotSay) {
  const Json config = config_of(small_llama(), table({"output.weight", "blk.0.attn_q.bias"}));
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["attention_bias"], true);
  EXPECT_EQ(config_of(with("tokenizer.ggml.tokens", {"a", "b"}), {})["vocab_size"], 2);
}

TEST(GgufConfig, ANumberMayBeGivenForEachLayerWhereAllAreAlike) {
  Json metadata = small_llama();
  metadata["llama.block_count"] = 3;
  const Json one = config_of(metadata, table());
  for (const char* key : {"llama.attention.head_count", "llama.attention.head_count_kv",
                          "llama.feed_forward_length", "llama.rope.freq_base"}) {
    metadata[key] = Json::array({metadata[key], metadata[key], metadata[key]});
  }
  EXPECT_EQ(config_of(metadata, table()), one);
}

TEST(GgufConfig, LayersThatDifferAreAnErrorThatNamesThem) {
  Json metadata = with("llama.attention.head_count_kv", {3, 3, 1});
  metadata["llama.block_count"] = 3;
  EXPECT_EQ(error_with(metadata),
            "GGUF metadata key \"llama.attention.head_count_kv\" is 3 in layer 0 and 1 in layer 2: "
            "layers that differ in it are not supported");
  EXPECT_EQ(
      error_with(with("llama.attention.head_count_kv", {3, 3})),
      "GGUF metadata key \"llama.attention.head_count_kv\" has 2 numbers, expected one, or one "
      "for each of the 30 layers");
  EXPECT_EQ(
      error_with(with("llama.feed_forward_length", Json::array())),
      "GGUF metadata key \"llama.feed_forward_length\" has 0 numbers, expected one, or one for "
      "each of the 30 layers");
  metadata["llama.attention.head_count_kv"] = {"a", "a", "a"};
  EXPECT_EQ(error_with(metadata),
            "GGUF metadata key \"llama.attention.head_count_kv\" is not a number from 0 on");
}

TEST(GgufConfig, RotaryScalingIsCarriedOver) {
  Json metadata = with("llama.rope.scaling.type", "linear");
  metadata["llama.rope.scaling.factor"] = 4.0;
  EXPECT_EQ(config_of(metadata, table())["rope_scaling"],
            Json({{"rope_type", "linear"}, {"factor", 4.0}}));
  EXPECT_EQ(config_of(with("llama.rope.scale_linear", 2.0), table())["rope_scaling"],
            Json({{"rope_type", "linear"}, {"factor", 2.0}}));
  const Json linear = {{"rope_type", "linear"}, {"factor", 4.0}};
  EXPECT_EQ(config_of(with("llama.rope.scaling.factor", 4.0), table())["rope_scaling"], linear);
  EXPECT_TRUE(config_of(with("llama.rope.scaling.factor", 1.0), table())["rope_scaling"].is_null());
  metadata["llama.rope.scaling.type"] = "spiral\n";
  EXPECT_EQ(error_with(metadata),
            "GGUF metadata key \"llama.rope.scaling.type\" is \"spiral\\n\": expected none, linear "
            "or yarn");
}

TEST(GgufConfig, YarnHasTheParametersThatFilesSay) {
  Json yarn = with("llama.rope.scaling.type", "yarn");
  yarn["llama.rope.scaling.factor"] = 4.0;
  EXPECT_EQ(config_of(yarn, table())["rope_scaling"],
            Json({{"rope_type", "yarn"}, {"factor", 4.0}}));
  yarn["llama.rope.scaling.original_context_length"] = 4096;
  yarn["llama.rope.scaling.yarn_beta_fast"] = 16.0;
  yarn["llama.rope.scaling.yarn_beta_slow"] = 2.0;
  yarn["llama.rope.scaling.yarn_attn_factor"] = 1.5;
  EXPECT_EQ(config_of(yarn, table())["rope_scaling"],
            Json({{"rope_type", "yarn"},
                  {"factor", 4.0},
                  {"original_max_position_embeddings", 4096},
                  {"beta_fast", 16.0},
                  {"beta_slow", 2.0},
                  {"attention_factor", 1.5}}));
}

TEST(GgufConfig, FactorsOfFrequenciesAreReadFromTheirTensors) {
  const Json one = config_of(small_llama(), table({"rope_freqs.weight"}))["rope_scaling"];
  EXPECT_EQ(one["rope_type"], "longrope");
  EXPECT_EQ(one["short_factor"], Json({1.0, 8.0}));
  EXPECT_EQ(one["long_factor"], Json({1.0, 8.0}));
  EXPECT_EQ(one["attention_factor"], 1.0);
  Json metadata = with("llama.rope.scaling.original_context_length", 4096);
  metadata["llama.rope.scaling.attn_factor"] = 1.25;
  const Json two = config_of(
      metadata, table({"rope_factors_short.weight", "rope_factors_long.weight"}))["rope_scaling"];
  EXPECT_EQ(two["original_max_position_embeddings"], 4096);
  EXPECT_EQ(two["attention_factor"], 1.25);
}

TEST(GgufConfig, StretchingComesOnTopOfTheFactorsOfFrequencies) {
  const auto config_with = [](const Json& keys) {
    Json metadata = small_llama();
    metadata.update(keys);
    return config_of(metadata, table({"rope_freqs.weight"}))["rope_scaling"];
  };
  for (const Json& keys :
       {Json{{"llama.rope.scaling.factor", 4.0}}, Json{{"llama.rope.scale_linear", 4.0}},
        Json{{"llama.rope.scaling.type", "linear"}, {"llama.rope.scaling.factor", 4.0}}}) {
    EXPECT_EQ(config_with(keys)["short_factor"], Json({4.0, 32.0}));
    EXPECT_EQ(config_with(keys)["long_factor"], Json({4.0, 32.0}));
  }
  EXPECT_EQ(config_with({{"llama.rope.scaling.type", "none"},
                         {"llama.rope.scaling.factor", 4.0}})["short_factor"],
            Json({1.0, 8.0}));
  EXPECT_EQ(config_with({{"llama.rope.scaling.attn_factor", 0.5}})["attention_factor"], 0.5);
  EXPECT_EQ(error_of([&] {
              (void)config_with(
                  {{"llama.rope.scaling.type", "yarn"}, {"llama.rope.scaling.factor", 4.0}});
            }),
            "GGUF metadata key \"llama.rope.scaling.type\" is \"yarn\" beside the tensor "
            "\"rope_freqs.weight\": the two are not known together");
}

TEST(GgufConfig, WhatChangesNumbersAndIsNotKnownIsRefused) {
  EXPECT_EQ(error_with(with("llama.attention.causal", false)),
            "GGUF metadata key \"llama.attention.causal\" is false: attention to later tokens too "
            "is not known here");
  EXPECT_NO_THROW((void)config_of(with("llama.attention.causal", true), table()));
  EXPECT_EQ(error_with(with("llama.rope.scaling.alpha", 1000.0)),
            "GGUF metadata key \"llama.rope.scaling.alpha\" is 1000, which is not known here");
  EXPECT_EQ(error_with(with("llama.rope.scaling.attn_factor", 0.5)),
            "GGUF metadata key \"llama.rope.scaling.attn_factor\" is 0.5 without a tensor of "
            "factors, which is not known here");
  for (const double nothing : {0.0, 1.0}) {
    EXPECT_NO_THROW((void)config_of(with("llama.rope.scaling.attn_factor", nothing), table()));
  }
  EXPECT_NO_THROW((void)config_of(with("llama.rope.scaling.alpha", 0.0), table()));
  // As converters have written OLMo 3's: what YaRN has in any case.
  Json yarn = with("llama.rope.scaling.type", "yarn");
  yarn["llama.rope.scaling.factor"] = 8.0;
  yarn["llama.rope.scaling.attn_factor"] = 1.2079441541679836;
  EXPECT_EQ(config_of(yarn, table())["rope_scaling"]["rope_type"], "yarn");
  yarn["llama.rope.scaling.attn_factor"] = 0.8;
  EXPECT_NE(error_with(yarn), "");
}

TEST(GgufConfig, WhatIsNotReadAndMayMatterIsTold) {
  Json metadata = small_llama();
  metadata["llama.vocab_size"] = 49'152;
  metadata["llama.attention.value_length"] = 64;
  metadata["llama.attention.scale"] = 0.5;
  metadata["llama.logit_scale"] = 2.0;
  metadata["llama.residual_scale"] = 0.0;
  metadata["tokenizer.ggml.something"] = 1;
  std::vector<std::string> unread;
  (void)config_from_gguf(metadata, table(), {}, &unread);
  EXPECT_EQ(unread, (std::vector<std::string>{"llama.attention.scale", "llama.logit_scale"}));
}

TEST(GgufConfig, OfGemma3SaysItsWindowsAndItsCap) {
  Json metadata = small_llama_as("gemma3");
  metadata["gemma3.attention.sliding_window"] = 512;
  EXPECT_EQ(config_of(metadata, table())["sliding_window_pattern"], 6);
  EXPECT_FALSE(config_of(metadata, table()).contains("final_logit_softcapping"));
  metadata["gemma3.attention.sliding_window_pattern"] = 2;
  metadata["gemma3.final_logit_softcapping"] = 30.0;
  const Json config = config_of(metadata, table());
  EXPECT_EQ(config["sliding_window_pattern"], 2);
  EXPECT_EQ(config["final_logit_softcapping"], 30.0);
}

TEST(GgufConfig, OtherArchitecturesAreNamedAndNothingElse) {
  EXPECT_EQ(config_of({{"general.architecture", "bert"}}, {}), Json({{"model_type", "bert"}}));
  EXPECT_TRUE(config_of(Json::object(), {}).is_null());
}

TEST(GgufConfig, ExpertsAndWindowsMakeALlamaMixtralOrMistral) {
  Json metadata = with("llama.expert_count", 8);
  metadata["llama.expert_used_count"] = 2;
  const Json experts = config_of(metadata, table());
  EXPECT_EQ(experts["architectures"], Json({"MixtralForCausalLM"}));
  EXPECT_EQ(experts["num_local_experts"], 8);
  EXPECT_EQ(experts["num_experts_per_tok"], 2);
  const Json window = config_of(with("llama.attention.sliding_window", 4096), table());
  EXPECT_EQ(window["model_type"], "mistral");
  EXPECT_EQ(window["sliding_window"], 4096);
}

TEST(GgufConfig, AnOlmo2WithWindowsIsAnOlmo3) {
  Json metadata = small_llama_as("olmo2");
  EXPECT_EQ(config_of(metadata, table())["model_type"], "olmo2");
  metadata["olmo2.attention.sliding_window"] = 4096;
  EXPECT_EQ(config_of(metadata, table())["model_type"], "olmo3");
}

TEST(GgufConfig, AMistral3WithoutATemperatureIsAMistral) {
  Json metadata = small_llama_as("mistral3");
  EXPECT_EQ(config_of(metadata, table())["model_type"], "mistral");
  metadata["mistral3.attention.temperature_scale"] = 0.1;
  EXPECT_EQ(config_of(metadata, table())["model_type"], "ministral3");
}

TEST(GgufConfig, LayersWithWindowsAreFlagsOrEverySoMany) {
  Json metadata = with("llama.attention.sliding_window", 4096);
  metadata["llama.attention.sliding_window_pattern"] = {true, true, false};
  EXPECT_EQ(config_of(metadata, table())["layer_types"],
            Json({"sliding_attention", "sliding_attention", "full_attention"}));
  metadata["llama.attention.sliding_window_pattern"] = 4;
  EXPECT_EQ(config_of(metadata, table())["sliding_window_pattern"], 4);
  metadata["llama.attention.sliding_window_pattern"] = {"x"};
  EXPECT_EQ(error_with(metadata),
            "GGUF metadata key \"llama.attention.sliding_window_pattern\" is not a list of flags");
}

TEST(GgufConfig, KeysWithoutAUsableValueAreNamed) {
  Json missing = small_llama();
  missing.erase("llama.block_count");
  EXPECT_EQ(error_with(missing), "GGUF metadata key \"llama.block_count\" is missing or 0");
  EXPECT_EQ(error_with(with("llama.attention.head_count", 0)),
            "GGUF metadata key \"llama.attention.head_count\" is missing or 0");
  EXPECT_EQ(error_with(with("llama.embedding_length", -5)),
            "GGUF metadata key \"llama.embedding_length\" is not a number from 0 on");
  EXPECT_EQ(error_with(with("llama.rope.freq_base", "x")),
            "GGUF metadata key \"llama.rope.freq_base\" is not a number");
  EXPECT_EQ(error_with(with("llama.rope.freq_base", -1.0)),
            "GGUF metadata key \"llama.rope.freq_base\" is not a positive number");
  EXPECT_EQ(error_with(with("general.architecture", 5)),
            "GGUF metadata key \"general.architecture\" is not a string");
  EXPECT_EQ(error_with(with("llama.attention.key_length", 128)),
            "GGUF metadata key \"llama.rope.dimension_count\" is 64, but heads have 128 elements: "
            "partly rotated heads are not supported for this architecture");
}

TEST(GgufConfig, ItsErrorsNameTheFile) {
  testing::MemoryFiles files;
  files.content["m.gguf"] = testing::GgufWriter().text("general.architecture", "llama").file(0);
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "m.gguf"); }),
            "m.gguf: GGUF metadata key \"llama.embedding_length\" is missing or 0");
}

}  // namespace
}  // namespace initrt
