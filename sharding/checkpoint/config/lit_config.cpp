#include "sharding/checkpoint/config/lit_config.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/config_reader.h"
#include "sharding/checkpoint/config/llama_config.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMax = 1u << 30;

// A field under its present or its former name.
std::string text_of(const ConfigReader& fields, const char* name, const char* former,
                    const char* fallback) {
  return fields.text_or(name, fields.text_or(former, fallback));
}

// What says which model it is.
struct Traits {
  std::string norm, mlp;
  bool parallel, shared_norm, bias, attention_bias, qk_norm, olmo2_qk_norm;
  bool norms_before, norm_before, norms_behind, norm_behind;  // both of them, one of them at least

  explicit Traits(const ConfigReader& fields)
      : norm(text_of(fields, "norm_class_name", "_norm_class", "LayerNorm")),
        mlp(text_of(fields, "mlp_class_name", "_mlp_class", "GptNeoxMLP")),
        parallel(fields.flag_or("parallel_residual", true)),
        shared_norm(fields.flag_or("shared_attention_norm", false)),
        bias(fields.flag_or("bias", true)),
        attention_bias(fields.flag_or("attn_bias", fields.flag_or("attention_bias", false))),
        qk_norm(fields.flag_or("norm_qk", false)),
        olmo2_qk_norm(qk_norm && fields.text_or("norm_qk_type", "default") == "olmo2") {
    const bool before[] = {fields.flag_or("norm_1", true), fields.flag_or("norm_2", true)};
    const bool behind[] = {fields.flag_or("post_attention_norm", false),
                           fields.flag_or("post_mlp_norm", false)};
    norms_before = before[0] && before[1];
    norm_before = before[0] || before[1];
    norms_behind = behind[0] && behind[1];
    norm_behind = behind[0] || behind[1];
  }

  [[nodiscard]] bool only_before() const { return norms_before && !norm_behind; }
  [[nodiscard]] bool only_behind() const { return norms_behind && !norm_before; }
  [[nodiscard]] bool on_both_sides() const { return norms_before && norms_behind; }
};

// A model class, and what its config has beside the shared keys.
struct ModelClass {
  const char *model_type, *name;
  void (*add)(const ConfigReader& fields, const Traits& traits, Json& config);
};

void as_it_is(const ConfigReader&, const Traits&, Json&) {}

void layer_norms(const ConfigReader& fields, Json& config, const char* key) {
  config[key] = fields.positive_or("norm_eps", 1e-5);
  config["hidden_act"] = config["activation"] =
      fields.text_or("gelu_approximate", "none") == "none" ? "gelu" : "gelu_pytorch_tanh";
  config["partial_rotary_factor"] = fields.positive_or("rotary_percentage", 0.25);
}

void gpt_neox(const ConfigReader& fields, const Traits& traits, Json& config) {
  layer_norms(fields, config, "layer_norm_eps");
  config["rotary_pct"] = config["partial_rotary_factor"];
  config["rotary_emb_base"] = config["rope_theta"];
  config["use_parallel_residual"] = traits.parallel;
  config["attention_bias"] = traits.bias;
}

void falcon(const ConfigReader& fields, const Traits& traits, Json& config) {
  layer_norms(fields, config, "layer_norm_epsilon");
  config["num_kv_heads"] = config["num_key_value_heads"];
  config["new_decoder_architecture"] = !traits.shared_norm;
  config["multi_query"] = config["num_key_value_heads"] == 1;
  config["ffn_hidden_size"] = config["intermediate_size"];
  config["bias"] = traits.bias;
}

void stablelm(const ConfigReader& fields, const Traits& traits, Json& config) {
  layer_norms(fields, config, "layer_norm_eps");
  config["hidden_act"] = "silu";
  config["use_parallel_residual"] = traits.parallel && traits.shared_norm;
  config["use_qkv_bias"] = traits.attention_bias;
}

void gemma(const ConfigReader& fields, const Traits&, Json& config) {
  config["hidden_act"] = config["hidden_activation"] = "gelu_pytorch_tanh";
  config["query_pre_attn_scalar"] =
      fields.positive_or("attention_scores_scalar", config["head_dim"].get<double>());
  for (const auto& [key, from] :
       {std::pair{"attn_logit_softcapping", "attention_logit_softcapping"},
        std::pair{"final_logit_softcapping", "final_logit_softcapping"},
        std::pair{"rope_local_base_freq", "rope_local_base_freq"}}) {
    config[key] = fields.has(from) ? Json(fields.positive(from)) : Json();
  }
}

void mixtral(const ConfigReader& fields, const Traits&, Json& config) {
  config["num_local_experts"] = fields.whole("n_expert", 1, kMax);
  config["num_experts_per_tok"] = fields.whole("n_expert_per_token", 1, kMax);
}

void qwen3_moe(const ConfigReader& fields, const Traits&, Json& config) {
  config["num_experts"] = fields.whole("n_expert", 1, kMax);
  config["num_experts_per_tok"] = fields.whole("n_expert_per_token", 1, kMax);
  config["moe_intermediate_size"] = fields.whole("moe_intermediate_size", 1, kMax);
  config["norm_topk_prob"] = true;
}

void with_biases(const ConfigReader&, const Traits& traits, Json& config) {
  config["attention_bias"] = config["mlp_bias"] = traits.bias;
}

// The class of models of RMS norms.
std::optional<ModelClass> rms_class(const ConfigReader& fields, const Traits& traits) {
  if (traits.mlp == "LLaMAMLP" && traits.olmo2_qk_norm && traits.only_behind()) {
    return ModelClass{"olmo2", "Olmo2ForCausalLM", as_it_is};
  }
  if (traits.olmo2_qk_norm) return {};
  if (traits.mlp == "GemmaMLP" && traits.on_both_sides()) {
    return traits.qk_norm ? ModelClass{"gemma3_text", "Gemma3ForCausalLM", gemma}
                          : ModelClass{"gemma2", "Gemma2ForCausalLM", gemma};
  }
  if (!traits.only_before()) return {};
  if (traits.mlp == "GemmaMLP" && !traits.qk_norm) {
    return ModelClass{"gemma", "GemmaForCausalLM", gemma};
  }
  if (traits.mlp == "LLaMAMoE") {
    return traits.qk_norm ? ModelClass{"qwen3_moe", "Qwen3MoeForCausalLM", qwen3_moe}
                          : ModelClass{"mixtral", "MixtralForCausalLM", mixtral};
  }
  if (traits.mlp != "LLaMAMLP") return {};
  if (traits.qk_norm) return ModelClass{"qwen3", "Qwen3ForCausalLM", as_it_is};
  if (traits.attention_bias && !traits.bias) {
    return ModelClass{"qwen2", "Qwen2ForCausalLM", as_it_is};
  }
  if (fields.has("sliding_window_size")) {
    return ModelClass{"mistral", "MistralForCausalLM", as_it_is};
  }
  return ModelClass{"llama", "LlamaForCausalLM", with_biases};
}

std::optional<ModelClass> layer_norm_class(const Traits& traits) {
  if (!traits.only_before() || traits.qk_norm) return {};
  if (traits.mlp == "LLaMAMLP" && !traits.bias) {
    return ModelClass{"stablelm", "StableLmForCausalLM", stablelm};
  }
  if (traits.mlp != "GptNeoxMLP") return {};
  if (traits.bias && !traits.shared_norm) {
    return ModelClass{"gpt_neox", "GPTNeoXForCausalLM", gpt_neox};
  }
  if (traits.bias || !traits.parallel) return {};
  return ModelClass{"falcon", "FalconForCausalLM", falcon};
}

std::optional<ModelClass> class_of(const ConfigReader& fields, const Traits& traits) {
  if (traits.norm == "LayerNorm") return layer_norm_class(traits);
  const bool sequential = !traits.parallel && !traits.shared_norm;
  return traits.norm == "RMSNorm" && sequential ? rms_class(fields, traits) : std::nullopt;
}

// What the class does not compute, or "".
std::string not_known(const ConfigReader& fields, const Traits& traits, std::string_view type) {
  for (const char* name : {"lm_head_bias", "rope_interleave"}) {
    if (fields.flag_or(name, false)) return name;
  }
  for (const char* name :
       {"latent_attention", "n_shared_expert", "n_expert_groups", "first_k_dense_replace"}) {
    if (fields.has(name)) return name;
  }
  if (fields.positive_or("routed_scaling_factor", 1.0) != 1.0) return "routed_scaling_factor";
  const auto is = [&](std::initializer_list<std::string_view> types) {
    return std::find(types.begin(), types.end(), type) != types.end();
  };
  // Gemma's norms have weights that are moved by 1, OLMo's none: LitGPT knows both by their names.
  const std::string model = fields.text_or("name", "");
  const bool gemma = type.starts_with("gemma");
  if ((model.find("Gemma") != std::string::npos) != gemma) return "the name " + quote(model);
  if (traits.norm == "LayerNorm" && model.find("OLMo") != std::string::npos) {
    return "norms without weights";
  }
  if (traits.bias && !is({"llama", "gpt_neox"})) return "bias";
  if (traits.attention_bias && !traits.bias && !is({"qwen2", "stablelm"})) return "attn_bias";
  if (fields.has("sliding_window_size") && !is({"mistral", "mixtral", "gemma2", "gemma3_text"})) {
    return "sliding_window_size";
  }
  if (!gemma) {
    if (fields.flag_or("scale_embeddings", false)) return "scale_embeddings";
    for (const char* name : {"attention_scores_scalar", "attention_logit_softcapping",
                             "final_logit_softcapping", "rope_local_base_freq"}) {
      if (fields.has(name)) return name;
    }
  } else if (!fields.flag_or("scale_embeddings", false)) {
    return "embeddings that are not scaled";
  } else if (fields.has("rope_local_base_freq") && fields.has("rope_indices") &&
             fields.at("rope_indices") != fields.at("sliding_window_indices")) {
    return "rope_indices that are not sliding_window_indices";
  }
  return "";
}

// Which layers see a window: a list of flags, or where there is none all of them.
void add_windows(const ConfigReader& fields, Json& config) {
  if (!fields.has("sliding_window_size")) return;
  config["sliding_window"] = fields.whole("sliding_window_size", 1, kMax);
  if (!fields.has("sliding_window_indices")) return;
  const Json& flags = fields.at("sliding_window_indices");
  if (!flags.is_array()) fail("model config: sliding_window_indices is not a list");
  config["layer_types"] = Json::array();
  for (const Json& flag : flags) {
    const bool slides = flag.is_number_integer() && flag != 0;
    config["layer_types"].push_back(slides ? "sliding_attention" : "full_attention");
  }
}

// Hugging Face's rope_scaling.
Json rope_scaling(const ConfigReader& fields) {
  if (fields.has("rope_adjustments")) {
    const ConfigReader adjustments(fields.at("rope_adjustments"));
    if (adjustments.has("beta_fast") || adjustments.has("beta_slow")) {
      fail("model config: rope_adjustments has beta_fast, which is not known here");
    }
    if (!adjustments.has("low_freq_factor") && !adjustments.has("high_freq_factor")) {
      if (!adjustments.has("factor")) return nullptr;
      return {{"rope_type", "linear"}, {"factor", adjustments.positive("factor")}};
    }
    return {
        {"rope_type", "llama3"},
        {"factor", adjustments.positive("factor")},
        {"low_freq_factor", adjustments.positive("low_freq_factor")},
        {"high_freq_factor", adjustments.positive("high_freq_factor")},
        {"original_max_position_embeddings", adjustments.whole("original_max_seq_len", 1, kMax)}};
  }
  const double condense =
      fields.positive_or("rope_condense_ratio", fields.positive_or("condense_ratio", 1.0));
  if (condense == 1.0) return nullptr;
  return {{"rope_type", "linear"}, {"factor", condense}};
}

}  // namespace

Json config_from_lit_gpt(const Json& json) {
  const ConfigReader fields(json);
  const Traits traits(fields);
  const std::optional<ModelClass> model = class_of(fields, traits);
  const std::string other = model ? not_known(fields, traits, model->model_type)
                                  : fmt::format("{} and {}", traits.mlp, traits.norm);
  if (!other.empty()) {
    return {{"model_type", "lit-gpt"}, {"architectures", {"Lit-GPT with " + other}}};
  }
  LlamaSizes sizes;
  sizes.hidden = fields.whole("n_embd", 1, kMax);
  sizes.intermediate = fields.whole("intermediate_size", 1, kMax);
  sizes.layers = fields.whole("n_layer", 1, kMax);
  sizes.heads = fields.whole("n_head", 1, kMax);
  sizes.kv_heads = fields.whole_or("n_query_groups", sizes.heads, 1, kMax);
  sizes.head_size = fields.whole_or("head_size", sizes.hidden / sizes.heads, 1, kMax);
  sizes.vocabulary = fields.has("padded_vocab_size") ? fields.whole("padded_vocab_size", 1, kMax)
                                                     : fields.whole("vocab_size", 1, kMax);
  sizes.context = fields.whole("block_size", 1, kMax);
  sizes.epsilon = fields.positive_or("norm_eps", 1e-5);
  sizes.rope_theta = fields.positive_or("rope_base", 10000.0);
  sizes.rope_scaling = rope_scaling(fields);
  Json config = llama_config(sizes);
  config["model_type"] = model->model_type;
  config["architectures"] = {model->name};
  if (const double rotated = fields.positive_or("rotary_percentage", 0.25); rotated != 1.0) {
    config["partial_rotary_factor"] = rotated;
  }
  add_windows(fields, config);
  model->add(fields, traits, config);
  return config;
}

}  // namespace initrt
