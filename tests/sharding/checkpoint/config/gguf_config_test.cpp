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

std::vector<TensorEntry> table(std::vector<std::string> others = {}) {
  std::vector<TensorEntry> tensors = {
      testing::dense_entry("token_embd.weight", DType::Q8_0, {49'152, 576}, 0, 0)};
  for (std::string& name : others) {
    tensors.push_back(testing::dense_entry(std::move(name), DType::F32, {1}, 0, 0));
  }
  return tensors;
}

Json with(const char* key, Json value) {
  Json metadata = small_llama();
  metadata[key] = std::move(value);
  return metadata;
}

std::string error_with(const Json& metadata) {
  return error_of([&] { (void)config_from_gguf(metadata, table()); });
}

TEST(GgufConfig, IsTheHuggingFaceConfigOfTheModel) {
  const Json config = config_from_gguf(small_llama(), table());
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
  const Json config =
      config_from_gguf(small_llama(), table({"output.weight", "blk.0.attn_q.bias"}));
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["attention_bias"], true);
  EXPECT_EQ(config_from_gguf(small_llama(), table({"rope_freqs.weight"}))["rope_scaling"],
            Json({{"rope_type", "llama3"}}));
  EXPECT_EQ(config_from_gguf(with("tokenizer.ggml.tokens", {"a", "b"}), {})["vocab_size"], 2);
}

TEST(GgufConfig, RotaryScalingIsCarriedOver) {
  Json metadata = with("llama.rope.scaling.type", "linear");
  metadata["llama.rope.scaling.factor"] = 4.0;
  EXPECT_EQ(config_from_gguf(metadata, table())["rope_scaling"],
            Json({{"rope_type", "linear"}, {"factor", 4.0}}));
  EXPECT_EQ(config_from_gguf(with("llama.rope.scale_linear", 2.0), table())["rope_scaling"],
            Json({{"rope_type", "linear"}, {"factor", 2.0}}));
  metadata["llama.rope.scaling.type"] = "spiral\n";
  EXPECT_EQ(error_with(metadata),
            "GGUF metadata key \"llama.rope.scaling.type\" is \"spiral\\n\": expected none, linear "
            "or yarn");
}

TEST(GgufConfig, OtherArchitecturesAreNamedAndNothingElse) {
  EXPECT_EQ(config_from_gguf({{"general.architecture", "gemma"}}, {}),
            Json({{"model_type", "gemma"}}));
  EXPECT_TRUE(config_from_gguf(Json::object(), {}).is_null());
  EXPECT_EQ(config_from_gguf(with("llama.expert_count", 8), table())["model_type"], "mixtral");
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
            "partly rotated heads are not supported");
}

TEST(GgufConfig, ItsErrorsNameTheFile) {
  testing::MemoryFiles files;
  files.content["m.gguf"] = testing::GgufWriter().text("general.architecture", "llama").file(0);
  EXPECT_EQ(error_of([&] { (void)open_checkpoint(files, "m.gguf"); }),
            "m.gguf: GGUF metadata key \"llama.embedding_length\" is missing or 0");
}

}  // namespace
}  // namespace initrt
