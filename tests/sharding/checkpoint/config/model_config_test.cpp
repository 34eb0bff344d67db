// Configs that are not Hugging Face's, in its keys.
#include "sharding/checkpoint/config/model_config.h"

#include <gtest/gtest.h>

#include "sharding/checkpoint/config/lit_config.h"
#include "sharding/checkpoint/config/meta_config.h"
#include "tests/sharding/dense_entry.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using Json = nlohmann::json;
using testing::dense_entry;
using testing::error_of;
using testing::MemoryFiles;

/// Llama-2-7b-hf as litgpt describes it.
Json llama_fields() {
  return {{"norm_class_name", "RMSNorm"},
          {"mlp_class_name", "LLaMAMLP"},
          {"parallel_residual", false},
          {"bias", false},
          {"rotary_percentage", 1.0},
          {"n_embd", 4096},
          {"intermediate_size", 11008},
          {"n_layer", 32},
          {"n_head", 32},
          {"padded_vocab_size", 32000},
          {"vocab_size", 31990},
          {"block_size", 4096},
          {"norm_eps", 1e-5}};
}

TEST(LitConfig, ALlamaIsALlama) {
  const Json config = config_from_lit_gpt(llama_fields());
  EXPECT_EQ(config["architectures"], Json({"LlamaForCausalLM"}));
  EXPECT_EQ(config["hidden_size"], 4096);
  EXPECT_EQ(config["intermediate_size"], 11008);
  EXPECT_EQ(config["num_key_value_heads"], 32);
  EXPECT_EQ(config["head_dim"], 128);
  EXPECT_EQ(config["vocab_size"], 32000) << "the padded one, which is the table's";
  EXPECT_EQ(config["max_position_embeddings"], 4096);
  EXPECT_TRUE(config["rope_scaling"].is_null());
}

TEST(LitConfig, FormerNamesOfFieldsAreRead) {
  Json fields = llama_fields();
  fields["_norm_class"] = fields["norm_class_name"];
  fields["_mlp_class"] = fields["mlp_class_name"];
  fields.erase("norm_class_name");
  fields.erase("mlp_class_name");
  fields["condense_ratio"] = 2;
  fields["n_query_groups"] = 8;
  const Json config = config_from_lit_gpt(fields);
  EXPECT_EQ(config["num_key_value_heads"], 8);
  EXPECT_EQ(config["rope_scaling"], Json({{"rope_type", "linear"}, {"factor", 2.0}}));
}

TEST(LitConfig, LlamaThreesAdjustmentsAreItsRopeScaling) {
  Json fields = llama_fields();
  fields["rope_adjustments"] = {{"factor", 8.0},
                                {"low_freq_factor", 1.0},
                                {"high_freq_factor", 4.0},
                                {"original_max_seq_len", 8192}};
  EXPECT_EQ(config_from_lit_gpt(fields)["rope_scaling"],
            Json({{"rope_type", "llama3"},
                  {"factor", 8.0},
                  {"low_freq_factor", 1.0},
                  {"high_freq_factor", 4.0},
                  {"original_max_position_embeddings", 8192}}));
}

TEST(LitConfig, AnAdjustmentByAFactorAloneIsLinear) {
  Json fields = llama_fields();
  fields["rope_adjustments"]["factor"] = 8.0;
  EXPECT_EQ(config_from_lit_gpt(fields)["rope_scaling"],
            Json({{"rope_type", "linear"}, {"factor", 8.0}}));
  fields["rope_adjustments"]["beta_fast"] = 32;
  EXPECT_EQ(error_of([&] { (void)config_from_lit_gpt(fields); }),
            "model config: rope_adjustments has beta_fast, which is not known here");
}

// The class of a LLaMA with other values of these fields.
std::string architecture_with(const std::vector<std::pair<std::string, Json>>& others) {
  Json fields = llama_fields();
  for (const auto& [key, value] : others) fields[key] = value;
  return config_from_lit_gpt(fields)["architectures"][0].get<std::string>();
}

TEST(LitConfig, ItsTraitsSayWhichModelItIs) {
  const auto architecture = [](const char* key, Json value) {
    return architecture_with({{key, std::move(value)}});
  };
  EXPECT_EQ(architecture("sliding_window_size", 4096), "MistralForCausalLM");
  EXPECT_EQ(architecture("attn_bias", true), "Qwen2ForCausalLM");
  EXPECT_EQ(architecture("norm_qk", true), "Qwen3ForCausalLM");
  EXPECT_EQ(architecture_with(
                {{"name", "Gemma-2b"}, {"mlp_class_name", "GemmaMLP"}, {"scale_embeddings", true}}),
            "GemmaForCausalLM");
  EXPECT_EQ(architecture("norm_class_name", "LayerNorm"), "StableLmForCausalLM");
  EXPECT_EQ(architecture("mlp_class_name", "GptNeoxMLP"), "Lit-GPT with GptNeoxMLP and RMSNorm");
  EXPECT_EQ(architecture("parallel_residual", true), "Lit-GPT with LLaMAMLP and RMSNorm");
  EXPECT_EQ(architecture("rope_interleave", true), "Lit-GPT with rope_interleave");
  EXPECT_EQ(architecture("lm_head_bias", true), "Lit-GPT with lm_head_bias");
}

TEST(LitConfig, WhatItsModelDoesNotComputeIsNamed) {
  const auto other = [](const char* key, Json value) {
    return architecture_with({{key, std::move(value)}});
  };
  EXPECT_EQ(other("name", "Gemma-2b"), "Lit-GPT with the name \"Gemma-2b\"");
  EXPECT_EQ(other("mlp_class_name", "GemmaMLP"), "Lit-GPT with the name \"\"");
  EXPECT_EQ(architecture_with({{"name", "Gemma-2b"}, {"mlp_class_name", "GemmaMLP"}}),
            "Lit-GPT with embeddings that are not scaled");
  EXPECT_EQ(architecture_with({{"name", "OLMo-1B"}, {"norm_class_name", "LayerNorm"}}),
            "Lit-GPT with norms without weights");
  EXPECT_EQ(other("scale_embeddings", true), "Lit-GPT with scale_embeddings");
  EXPECT_EQ(other("final_logit_softcapping", 30.0), "Lit-GPT with final_logit_softcapping");
  EXPECT_EQ(other("routed_scaling_factor", 2.5), "Lit-GPT with routed_scaling_factor");
  EXPECT_EQ(other("first_k_dense_replace", 1), "Lit-GPT with first_k_dense_replace");
  EXPECT_EQ(other("post_mlp_norm", true), "Lit-GPT with LLaMAMLP and RMSNorm");
  EXPECT_EQ(architecture_with({{"norm_qk", true}, {"bias", true}}), "Lit-GPT with bias");
  EXPECT_EQ(architecture_with({{"norm_qk", true}, {"attn_bias", true}}), "Lit-GPT with attn_bias");
  EXPECT_EQ(architecture_with({{"norm_qk", true}, {"sliding_window_size", 8}}),
            "Lit-GPT with sliding_window_size");
  EXPECT_EQ(architecture_with({{"norm_qk", true}, {"norm_qk_type", "olmo2"}}),
            "Lit-GPT with LLaMAMLP and RMSNorm");
  EXPECT_EQ(architecture_with({{"name", "Gemma-3"},
                               {"mlp_class_name", "GemmaMLP"},
                               {"scale_embeddings", true},
                               {"norm_qk", true},
                               {"post_attention_norm", true},
                               {"post_mlp_norm", true},
                               {"rope_local_base_freq", 1e4},
                               {"rope_indices", Json::array({1, 0})},
                               {"sliding_window_size", 8},
                               {"sliding_window_indices", Json::array({1, 1})}}),
            "Lit-GPT with rope_indices that are not sliding_window_indices");
}

TEST(LitConfig, MissingFieldsAreNamed) {
  Json fields = llama_fields();
  fields.erase("n_layer");
  EXPECT_EQ(error_of([&] { (void)config_from_lit_gpt(fields); }),
            "model config: n_layer is missing");
}

Catalog catalog_with(std::vector<TensorEntry> tensors) {
  Catalog catalog;
  catalog.files = {{"file", 1ull << 40}};
  std::uint64_t offset = 0;
  for (TensorEntry& tensor : tensors) {
    tensor.parts[0].offset = offset;
    offset += tensor.bytes();
  }
  catalog.tensors = std::move(tensors);
  catalog.finish();
  return catalog;
}

TEST(LitConfig, LitLlamasSizesAreItsTensors) {
  const Catalog catalog = catalog_with(
      {dense_entry("transformer.wte.weight", DType::F16, {32000, 4096}, 0, 0),
       dense_entry("transformer.h.0.mlp.c_fc1.weight", DType::F16, {11008, 4096}, 0, 0),
       dense_entry("transformer.h.0.rms_1.scale", DType::F16, {4096}, 0, 0),
       dense_entry("transformer.h.1.rms_1.scale", DType::F16, {4096}, 0, 0)});
  const Json config = config_from_lit_llama(catalog);
  EXPECT_EQ(config["num_hidden_layers"], 2);
  EXPECT_EQ(config["num_attention_heads"], 32);
  EXPECT_EQ(config["intermediate_size"], 11008);
  EXPECT_TRUE(config_from_lit_llama(Catalog()).is_null());
}

Catalog meta_catalog() {
  return catalog_with(
      {dense_entry("tok_embeddings.weight", DType::F16, {32000, 4096}, 0, 0),
       dense_entry("layers.0.feed_forward.w1.weight", DType::F16, {11008, 4096}, 0, 0),
       dense_entry("output.weight", DType::F16, {32000, 4096}, 0, 0)});
}

TEST(MetaConfig, SizesThatParamsLeaveOutAreTheTensors) {
  const Json params = {{"dim", 4096},    {"multiple_of", 256}, {"n_heads", 32},
                       {"n_layers", 32}, {"norm_eps", 1e-6},   {"vocab_size", -1}};
  const Json config = config_from_meta(params, meta_catalog());
  EXPECT_EQ(config["vocab_size"], 32000);
  EXPECT_EQ(config["intermediate_size"], 11008);
  EXPECT_EQ(config["head_dim"], 128);
  EXPECT_EQ(config["num_key_value_heads"], 32);
  EXPECT_EQ(config["max_position_embeddings"], 2048);
  EXPECT_EQ(config["tie_word_embeddings"], false);
}

TEST(MetaConfig, WhatIsNotKnownHereSaysSo) {
  Json params = {{"dim", 4096}, {"n_heads", 32}, {"n_layers", 32}, {"use_scaled_rope", true}};
  EXPECT_EQ(config_from_meta(params, meta_catalog())["rope_scaling"]["factor"], 8.0);
  params["sliding_window"] = 4096;
  EXPECT_EQ(config_from_meta(params, meta_catalog())["model_type"], "mistral");
  params["moe"] = {{"num_experts", 8}};
  EXPECT_EQ(config_from_meta(params, meta_catalog())["architectures"][0],
            "Mixtral with params.json");
  EXPECT_EQ(error_of([&] {
              (void)config_from_meta({{"n_heads", 32}}, meta_catalog());
            }),
            "model config: dim is missing");
  EXPECT_TRUE(config_from_meta({{"dim", 1}, {"n_heads", 1}, {"n_layers", 1}}, Catalog()).is_null())
      << "the tensors are another model's";
}

TEST(MetaConfig, AKeyThatMayChangeTheAnswerIsRefusedByItsName) {
  const Json plain = {{"dim", 4096}, {"n_heads", 32}, {"n_layers", 32}};
  const auto architecture = [&](const char* key, const Json& value) {
    Json params = plain;
    params[key] = value;
    return config_from_meta(params, meta_catalog())["architectures"][0].get<std::string>();
  };
  EXPECT_EQ(architecture("qk_norm", true), "params.json with qk_norm");
  EXPECT_EQ(architecture("causal", false), "params.json with causal");
  EXPECT_EQ(architecture("activation", "gelu"), "params.json with activation");
  EXPECT_EQ(architecture("_sliding_window", {4096, nullptr}), "params.json with _sliding_window");
  const std::string usual = architecture("causal", true);
  EXPECT_EQ(architecture("activation", "silu"), usual);
  for (const char* key : {"qk_norm", "use_biases", "attn_scale"}) {
    EXPECT_EQ(architecture(key, false), usual) << key;
    EXPECT_EQ(architecture(key, nullptr), usual) << key;
  }
}

TEST(MetaConfig, MistralsYarnIsHuggingFaces) {
  Json params = {{"dim", 4096}, {"n_heads", 32}, {"n_layers", 32}};
  params["yarn"] = {{"original_max_position_embeddings", 16384},
                    {"factor", 16},
                    {"apply_scale", false},
                    {"beta", 32},
                    {"alpha", 1}};
  Json expected = {{"rope_type", "yarn"},     {"factor", 16.0},
                   {"beta_fast", 32.0},       {"beta_slow", 1.0},
                   {"attention_factor", 1.0}, {"original_max_position_embeddings", 16384}};
  EXPECT_EQ(config_from_meta(params, meta_catalog())["rope_scaling"], expected);
  params["llama_4_scaling"] = {{"original_max_position_embeddings", 16384}, {"beta", 0.1}};
  expected["llama_4_scaling_beta"] = 0.1;
  EXPECT_EQ(config_from_meta(params, meta_catalog())["rope_scaling"], expected);
  params["llama_4_scaling"]["original_max_position_embeddings"] = 8192;
  EXPECT_EQ(config_from_meta(params, meta_catalog())["architectures"][0],
            "params.json with such a llama_4_scaling");
  params.erase("llama_4_scaling");
  params["yarn"]["apply_scale"] = true;
  EXPECT_EQ(config_from_meta(params, meta_catalog())["architectures"][0],
            "params.json with such a yarn");
  params.erase("yarn");
  params["llama_4_scaling"] = {{"original_max_position_embeddings", 16384}, {"beta", 0.1}};
  EXPECT_EQ(config_from_meta(params, meta_catalog())["architectures"][0],
            "params.json with such a llama_4_scaling");
}

TEST(ModelConfig, HuggingFacesIsFirstButForLit) {
  MemoryFiles files;
  files.content["d/config.json"] = R"({"model_type": "llama"})";
  files.content["d/lit_config.json"] = llama_fields().dump();
  files.content["d/generation_config.json"] = R"({"eos_token_id": 2})";
  Catalog catalog;
  const Json config = read_model_config(files, "d", catalog);
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_FALSE(config.contains("vocab_size"));
  EXPECT_EQ(config["generation_config"]["eos_token_id"], 2);
  catalog.format = "lit";
  EXPECT_EQ(read_model_config(files, "d", catalog)["vocab_size"], 32000);
  EXPECT_TRUE(read_model_config(files, "elsewhere", catalog).is_null());
}

TEST(ModelConfig, FilesOfTheirOwnTellTheQuantizationWhereTheConfigDoesNot) {
  MemoryFiles files;
  const auto quantization = [&] {
    return read_model_config(files, "d", Catalog()).value("quantization_config", Json());
  };
  files.content["d/config.json"] = R"({"model_type": "llama"})";
  EXPECT_TRUE(quantization().is_null());
  files.content["d/hf_quant_config.json"] =
      R"({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}})";
  EXPECT_EQ(quantization(), Json({{"quant_method", "modelopt"}, {"quant_algo", "FP8"}}));
  files.content["d/quant_config.json"] = R"({"w_bit": 4})";
  files.content["d/quantize_config.json"] = R"({"bits": 4})";
  EXPECT_EQ(quantization()["quant_method"], "modelopt") << "the first that is there";
  files.content.erase("d/hf_quant_config.json");
  EXPECT_EQ(quantization(), Json({{"bits", 4}, {"quant_method", "gptq"}}));
  files.content.erase("d/quantize_config.json");
  EXPECT_EQ(quantization(), Json({{"w_bit", 4}, {"quant_method", "awq"}}));
  files.content["d/hf_quant_config.json"] = R"({"quantization": 8})";
  EXPECT_EQ(error_of([&] { (void)quantization(); }),
            "d/hf_quant_config.json: quantization is not a JSON object");
  files.content["d/config.json"] = R"({"quantization_config": {"quant_method": "fp8"}})";
  EXPECT_EQ(quantization(), Json({{"quant_method", "fp8"}}));
}

TEST(ModelConfig, OfTextAloneKeepsTheQuantizationOfTheWhole) {
  const Json config = text_model_config({{"model_type", "gemma3"},
                                         {"quantization", {{"group_size", 64}, {"bits", 4}}},
                                         {"text_config", {{"model_type", "gemma3_text"}}}});
  EXPECT_EQ(config["model_type"], "gemma3_text");
  EXPECT_EQ(config["quantization"]["bits"], 4);
}

TEST(ModelConfig, OfKimisTextIsDeepseeksWhereItSaysNothing) {
  Json whole = {{"model_type", "kimi_k25"},
                {"tie_word_embeddings", false},
                {"text_config", {{"hidden_size", 7168}}}};
  const Json config = text_model_config(whole);
  EXPECT_EQ(config["model_type"], "deepseek_v3");
  EXPECT_EQ(config["hidden_size"], 7168);
  EXPECT_EQ(config["tie_word_embeddings"], false);
  whole["text_config"]["model_type"] = "kimi_k2";
  EXPECT_EQ(text_model_config(whole)["model_type"], "kimi_k2");
  whole["model_type"] = "gemma3";
  whole["text_config"].erase("model_type");
  EXPECT_EQ(text_model_config(whole), whole) << "nobody knows what that is";
}

// As llava-1.5-7b's and pixtral-12b's text configs are.
TEST(ModelConfig, OfTextHasWhatItsClassHasWhereItSaysNothing) {
  const Json llama = text_model_config(
      {{"model_type", "llava"},
       {"text_config", {{"model_type", "llama"}, {"vocab_size", 32064}, {"rms_norm_eps", 1e-5}}}});
  EXPECT_EQ(llama["vocab_size"], 32064);
  EXPECT_EQ(llama["rms_norm_eps"], 1e-5);
  EXPECT_EQ(llama["intermediate_size"], 11008);
  EXPECT_EQ(llama["num_attention_heads"], 32);
  EXPECT_FALSE(llama.contains("sliding_window"));
  const Json unnamed =
      text_model_config({{"model_type", "llava"}, {"text_config", {{"vocab_size", 9}}}});
  EXPECT_EQ(unnamed["model_type"], "llama");
  const Json mistral = text_model_config(
      {{"model_type", "llava"},
       {"text_config",
        {{"model_type", "mistral"}, {"hidden_size", 5120}, {"sliding_window", nullptr}}}});
  EXPECT_EQ(mistral["hidden_size"], 5120);
  EXPECT_EQ(mistral["num_key_value_heads"], 8);
  EXPECT_TRUE(mistral["sliding_window"].is_null());
}

TEST(ModelConfig, ParametersOfSomethingElseAreLeftAlone) {
  MemoryFiles files;
  files.content["d/params.json"] = R"({"learning_rate": 0.1})";
  EXPECT_TRUE(read_model_config(files, "d", Catalog()).is_null());
  files.content["d/model_config.yaml"] = llama_fields().dump();
  EXPECT_EQ(read_model_config(files, "d", Catalog())["vocab_size"], 32000);
}

TEST(ModelConfig, ErrorsNameTheFile) {
  MemoryFiles files;
  files.content["d/model_config.yaml"] =
      "norm_class_name: RMSNorm\nmlp_class_name: LLaMAMLP\n"
      "parallel_residual: false\nbias: false\n"
      "rotary_percentage: 1.0\nn_embd: many\n";
  EXPECT_EQ(error_of([&] { (void)read_model_config(files, "d", Catalog()); }),
            "d/model_config.yaml: model config: n_embd is not a whole number");
  files.content["d/model_config.yaml"] = "- 1\n";
  EXPECT_EQ(error_of([&] { (void)read_model_config(files, "d", Catalog()); }),
            "d/model_config.yaml: expected a YAML mapping, found array");
}

}  // namespace
}  // namespace initrt
