// Keys and conventions are those of llama.cpp's converters (github.com/ggml-org/llama.cpp,
// convert_hf_to_gguf.py, gguf-py/gguf/constants.py) and its graphs (src/llama-model.cpp).
#include "sharding/checkpoint/config/gguf_config.h"

#include <algorithm>
#include <utility>

#include "sharding/checkpoint/config/gguf_gemma4.h"
#include "sharding/checkpoint/config/gguf_hybrid.h"
#include "sharding/checkpoint/config/gguf_rope_scaling.h"
#include "sharding/checkpoint/config/gguf_source.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

std::uint64_t vocabulary(const GgufSource& source) {
  const TensorEntry* table = source.tensor("token_embd.weight");
  if (table != nullptr && table->shape.size() == 2) return table->shape[0];
  const Json* tokens = source.metadata.find("tokenizer.ggml.tokens");
  if (tokens != nullptr && tokens->is_array()) return tokens->size();
  return source.metadata.need_count(".vocab_size");
}

// Elements of a head. Files of "llama" may say it by what is rotated, which is all of it: that its
// halves are interleaved is undone for whole heads.
std::uint64_t head_size(const GgufMetadata& metadata, bool llama) {
  const std::uint64_t hidden = metadata.need_count(".embedding_length");
  const std::uint64_t heads = metadata.need_count(".attention.head_count");
  const auto length = metadata.count(".attention.key_length");
  const auto rotated = metadata.count(".rope.dimension_count");
  if (!llama) return length.value_or(hidden / heads);
  const std::uint64_t size = length.value_or(rotated.value_or(hidden / heads));
  if (rotated && *rotated != size) {
    fail(
        "GGUF metadata key {} is {}, but heads have {} elements: partly rotated heads are not "
        "supported for this architecture",
        quote(metadata.full(".rope.dimension_count")), *rotated, size);
  }
  return size;
}

bool has_qkv_bias(const GgufSource& source) {
  return source.has("blk.0.attn_q.bias") || source.has("blk.0.attn_qkv.bias");
}

// Which layers see a window: a flag for each, or all but every so manieth.
void add_layer_types(const GgufMetadata& metadata, Json& config) {
  constexpr const char* kKey = ".attention.sliding_window_pattern";
  const Json* const pattern = metadata.find(kKey);
  if (pattern == nullptr) return;
  if (!pattern->is_array()) {
    config["sliding_window_pattern"] = metadata.need_count(kKey);
    return;
  }
  Json& types = config["layer_types"] = Json::array();
  for (const Json& slides : *pattern) {
    if (!slides.is_boolean() && !slides.is_number_integer()) {
      fail("GGUF metadata key {} is not a list of flags", quote(metadata.full(kKey)));
    }
    const bool is_set = slides.is_boolean() ? slides.get<bool>() : slides != 0;
    types.push_back(is_set ? "sliding_attention" : "full_attention");
  }
}

/// Of what layers have some of (heads of keys and values, what feeds forward).
enum class OfLayers : std::uint8_t {
  OneNumber,
  OfThoseThatHaveSome,  ///< what these have alike
  Least,
};

OfLayers counts_of_layers(std::string_view architecture) {
  if (is_gguf_hybrid(architecture)) return OfLayers::OfThoseThatHaveSome;
  return architecture == "gemma4" ? OfLayers::Least : OfLayers::OneNumber;
}

// What all architectures have, in the keys that most model classes have.
Json shared_config(const GgufSource& source, std::string_view architecture) {
  const GgufMetadata& metadata = source.metadata;
  const bool llama = architecture == "llama" || architecture == "mistral3";
  const OfLayers counts = counts_of_layers(architecture);
  const auto of_layers = [&](const char* key) {
    if (counts == OfLayers::OfThoseThatHaveSome) return hybrid_count(metadata, key);
    if (counts == OfLayers::Least) return std::ranges::min(metadata.need_counts(key));
    return metadata.need_count(key);
  };
  const std::uint64_t size = head_size(metadata, llama);
  const std::uint64_t heads = metadata.need_count(".attention.head_count");
  const auto rotated = metadata.count(".rope.dimension_count");
  Json config = {
      {"hidden_size", metadata.need_count(".embedding_length")},
      {"num_hidden_layers", metadata.need_count(".block_count")},
      {"num_attention_heads", heads},
      {"num_key_value_heads", metadata.find(".attention.head_count_kv") != nullptr
                                  ? of_layers(".attention.head_count_kv")
                                  : heads},
      {"head_dim", size},
      {"max_position_embeddings", metadata.need_count(".context_length")},
      {"rope_theta", metadata.real(".rope.freq_base").value_or(10000.0)},
      {"rope_scaling", gguf_rope_scaling(source)},
      {"vocab_size", vocabulary(source)},
      {"tie_word_embeddings", !source.has("output.weight")},
      {"hidden_act", "silu"},
      {"attention_bias", has_qkv_bias(source)},
      {"mlp_bias", source.has("blk.0.ffn_up.bias")},
      {"torch_dtype", "float32"},
  };
  // Where all layers have experts, files may say nothing of others.
  constexpr const char* kFeedForward = ".feed_forward_length";
  if (architecture != "qwen35moe" || metadata.find(kFeedForward) != nullptr) {
    config["intermediate_size"] = of_layers(kFeedForward);
  }
  if (rotated && *rotated != size && size > 0) {
    config["partial_rotary_factor"] = static_cast<double>(*rotated) / static_cast<double>(size);
  }
  if (const auto epsilon = metadata.real(".attention.layer_norm_rms_epsilon")) {
    config["rms_norm_eps"] = *epsilon;
  }
  if (const auto epsilon = metadata.real(".attention.layer_norm_epsilon")) {
    config["layer_norm_eps"] = *epsilon;
  }
  if (const auto window = metadata.count(".attention.sliding_window"); window && *window > 0) {
    config["sliding_window"] = *window;
    add_layer_types(metadata, config);
  }
  for (const auto& [key, from] : {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                  std::pair{"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                  std::pair{"pad_token_id", "tokenizer.ggml.padding_token_id"}}) {
    const auto id = metadata.count(from);
    config[key] = id ? Json(*id) : Json();
  }
  return config;
}

void rename(Json& config, const char* from, const char* to) {
  if (!config.contains(from)) return;
  config[to] = config[from];
  config.erase(from);
}

// @param count_key what the model class calls the number of experts
void add_experts(const GgufSource& source, const char* count_key, Json& config) {
  config[count_key] = source.metadata.need_count(".expert_count");
  config["num_experts_per_tok"] = source.metadata.need_count(".expert_used_count");
}

void mixtral(const GgufSource& source, Json& config) {
  add_experts(source, "num_local_experts", config);
}

void qwen3_moe(const GgufSource& source, Json& config) {
  add_experts(source, "num_experts", config);
  config["moe_intermediate_size"] = source.metadata.need_count(".expert_feed_forward_length");
  config["norm_topk_prob"] = true;  // what the graph of "qwen3moe" does
}

// The blocks that guess further tokens are counted with the others.
void without_further_blocks(const GgufSource& source, Json& config) {
  const std::uint64_t further = source.metadata.count(".nextn_predict_layers").value_or(0);
  const std::uint64_t blocks = config["num_hidden_layers"];
  if (further >= blocks) {
    fail("GGUF metadata: of {} blocks {} guess further tokens", blocks, further);
  }
  config["num_hidden_layers"] = blocks - further;
}

// Scores of experts are a sigmoid's where files say what they are.
void check_sigmoid(const GgufMetadata& metadata) {
  constexpr std::uint64_t kSigmoid = 2;
  if (const auto gating = metadata.count(".expert_gating_func"); gating && *gating != kSigmoid) {
    fail("GGUF metadata key {} is {}: expected {}, sigmoid",
         quote(metadata.full(".expert_gating_func")), *gating, kSigmoid);
  }
}

// Experts of DeepSeek-V3's kind.
void corrected_experts(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  check_sigmoid(metadata);
  without_further_blocks(source, config);
  add_experts(source, "n_routed_experts", config);
  config["moe_intermediate_size"] = metadata.need_count(".expert_feed_forward_length");
  config["n_shared_experts"] = metadata.count(".expert_shared_count").value_or(0);
  config["first_k_dense_replace"] = metadata.count(".leading_dense_block_count").value_or(0);
  config["norm_topk_prob"] = metadata.flag(".expert_weights_norm").value_or(false);
  config["routed_scaling_factor"] = metadata.real(".expert_weights_scale").value_or(1.0);
  config["n_group"] = metadata.count(".expert_group_count").value_or(1);
  config["topk_group"] = metadata.count(".expert_group_used_count").value_or(1);
}

void glm4_moe(const GgufSource& source, Json& config) {
  corrected_experts(source, config);
  config["use_qk_norm"] = source.has("blk.0.attn_q_norm.weight");
}

void qwen3_next(const GgufSource& source, Json& config) {
  without_further_blocks(source, config);
  qwen3_moe(source, config);
  config["shared_expert_intermediate_size"] =
      source.metadata.need_count(".expert_shared_feed_forward_length");
  add_delta_net(source, config);
}

void qwen3_5(const GgufSource& source, Json& config) {
  without_further_blocks(source, config);
  add_delta_net(source, config);
}

void minimax_m2(const GgufSource& source, Json& config) {
  check_sigmoid(source.metadata);
  without_further_blocks(source, config);
  add_experts(source, "num_local_experts", config);
  config["intermediate_size"] = source.metadata.need_count(".expert_feed_forward_length");
}

void gpt_oss(const GgufSource& source, Json& config) {
  add_experts(source, "num_local_experts", config);
  config["intermediate_size"] = source.metadata.need_count(".expert_feed_forward_length");
  // The converter's graph: no ramp ends at whole dimensions.
  if (config["rope_scaling"].is_object()) config["rope_scaling"]["truncate"] = false;
}

// A file's heads are those of latents: one for keys and values, of the latent and what is rotated.
void deepseek2(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  corrected_experts(source, config);
  const std::uint64_t rotated = metadata.need_count(".rope.dimension_count");
  const std::uint64_t key = metadata.need_count(".attention.key_length_mla");
  if (key <= rotated) {
    fail("GGUF metadata: keys of {} elements, of which {} are rotated", key, rotated);
  }
  config.erase("partial_rotary_factor");
  config.erase("head_dim");
  config["kv_lora_rank"] = metadata.need_count(".attention.kv_lora_rank");
  if (const auto rank = metadata.count(".attention.q_lora_rank")) config["q_lora_rank"] = *rank;
  config["qk_rope_head_dim"] = rotated;
  config["qk_nope_head_dim"] = key - rotated;
  config["v_head_dim"] = metadata.need_count(".attention.value_length_mla");
  if (const auto sharper = metadata.real(".rope.scaling.yarn_log_multiplier");
      sharper && config["rope_scaling"].is_object()) {
    // The two are equal in all published configs; files hold one, times 0.1.
    config["rope_scaling"]["mscale"] = config["rope_scaling"]["mscale_all_dim"] = *sharper * 10;
  }
}

// What files do not say is the same in all that are published.
void llama4(const GgufSource& source, Json& config) {
  const GgufMetadata& metadata = source.metadata;
  constexpr std::uint64_t kWithoutNorms = 128;  // experts of the one whose heads have no norms
  constexpr const char* kWindow = ".attention.sliding_window";
  if (metadata.count(kWindow) == 0) {
    fail("GGUF metadata key {} is 0, which is not known here", quote(metadata.full(kWindow)));
  }
  add_experts(source, "num_local_experts", config);
  config["intermediate_size_mlp"] = config["intermediate_size"];
  config["intermediate_size"] = metadata.need_count(".expert_feed_forward_length");
  config["interleave_moe_layer_step"] = metadata.need_count(".interleave_moe_layer_step");
  config["use_qk_norm"] = config["num_local_experts"] != kWithoutNorms;
}

void gemma(const GgufSource&, Json& config) {
  config["hidden_act"] = config["hidden_activation"] = "gelu_pytorch_tanh";
}

// The largest Gemma 2 and 3 scale by hidden_size / heads, which llama.cpp too knows by their
// layers.
void scale_attention(Json& config, std::uint64_t layers_of_largest) {
  const bool largest = config["num_hidden_layers"] == layers_of_largest;
  config["query_pre_attn_scalar"] = largest ? config["hidden_size"].get<std::uint64_t>() /
                                                  config["num_attention_heads"].get<std::uint64_t>()
                                            : config["head_dim"].get<std::uint64_t>();
}

constexpr const char* kLogitCap = "final_logit_softcapping";

// @param name of the cap, in files and in Hugging Face's configs alike
void add_cap(const GgufMetadata& metadata, const std::string& name, Json& config) {
  if (const auto cap = metadata.real_unless_0("." + name)) config[name] = *cap;
}

void gemma2(const GgufSource& source, Json& config) {
  gemma(source, config);
  scale_attention(config, 46);
  add_cap(source.metadata, "attn_logit_softcapping", config);
  add_cap(source.metadata, kLogitCap, config);
}

void gemma3(const GgufSource& source, Json& config) {
  gemma(source, config);
  scale_attention(config, 62);
  if (source.metadata.find(".rope.freq_base") == nullptr) config["rope_theta"] = 1e6;
  config.emplace("sliding_window_pattern", 6);
  add_cap(source.metadata, kLogitCap, config);
  const auto local = source.metadata.real(".rope.freq_base_swa");
  if (local) config["rope_local_base_freq"] = *local;
}

void gpt_neox(const GgufSource& source, Json& config) {
  config["hidden_act"] = "gelu";
  config["use_parallel_residual"] = source.metadata.flag(".use_parallel_residual").value_or(true);
  config["rotary_pct"] = config.value("partial_rotary_factor", 1.0);
  config["attention_bias"] = has_qkv_bias(source);
}

void stablelm(const GgufSource& source, Json& config) {
  config["use_parallel_residual"] = !source.has("blk.0.ffn_norm.weight");
  config["use_qkv_bias"] = has_qkv_bias(source);
  config["qk_layernorm"] = source.has("blk.0.attn_q_norm.weight");
  if (!config.contains("partial_rotary_factor")) config["partial_rotary_factor"] = 1.0;
}

void falcon(const GgufSource& source, Json& config) {
  const bool later = config["num_key_value_heads"] != 1;
  config["new_decoder_architecture"] = later;
  config["multi_query"] = true;
  config["num_ln_in_parallel_attn"] = source.has("blk.0.attn_norm_2.weight") ? 2 : 1;
  config["bias"] = has_qkv_bias(source);
  config["activation"] = "gelu";
  rename(config, "num_key_value_heads", "num_kv_heads");
  rename(config, "intermediate_size", "ffn_hidden_size");
  rename(config, "layer_norm_eps", "layer_norm_epsilon");
}

void bloom(const GgufSource& source, Json& config) {
  if (config["intermediate_size"] != 4 * config["hidden_size"].get<std::uint64_t>()) {
    fail("GGUF metadata key {} is not four times the hidden size",
         quote(source.metadata.full(".feed_forward_length")));
  }
  rename(config, "max_position_embeddings", "seq_length");
  rename(config, "layer_norm_eps", "layer_norm_epsilon");
}

void gpt2(const GgufSource&, Json& config) {
  for (const auto& [from, to] :
       {std::pair{"hidden_size", "n_embd"}, std::pair{"intermediate_size", "n_inner"},
        std::pair{"num_hidden_layers", "n_layer"}, std::pair{"num_attention_heads", "n_head"},
        std::pair{"max_position_embeddings", "n_positions"},
        std::pair{"layer_norm_eps", "layer_norm_epsilon"}}) {
    rename(config, from, to);
  }
  config["activation_function"] = "gelu_new";
}

void phi(const GgufSource&, Json& config) {
  config["hidden_act"] = "gelu_new";
  if (!config.contains("partial_rotary_factor")) config["partial_rotary_factor"] = 1.0;
}

void starcoder2(const GgufSource& source, Json& config) {
  config["hidden_act"] = "gelu_pytorch_tanh";
  config["use_bias"] = has_qkv_bias(source);
  rename(config, "layer_norm_eps", "norm_epsilon");
}

void granite(const GgufSource& source, Json& config) {
  for (const auto& [key, from] : {std::pair{"embedding_multiplier", ".embedding_scale"},
                                  std::pair{"residual_multiplier", ".residual_scale"},
                                  std::pair{"attention_multiplier", ".attention.scale"},
                                  std::pair{"logits_scaling", ".logit_scale"}}) {
    if (const auto scale = source.metadata.real(from)) config[key] = *scale;
  }
}

// The architecture is that of models with and without a shared feed-forward.
void granite_moe(const GgufSource& source, Json& config) {
  granite(source, config);
  add_experts(source, "num_local_experts", config);
  config["shared_intermediate_size"] =
      source.metadata.count(".expert_shared_feed_forward_length").value_or(0);
}

void granite_hybrid(const GgufSource& source, Json& config) {
  granite(source, config);
  add_granite_hybrid(source, config);
  config["num_local_experts"] = 0;
  config["shared_intermediate_size"] = config["intermediate_size"];
  if (source.metadata.count(".expert_count").value_or(0) == 0) return;
  add_experts(source, "num_local_experts", config);
  config["shared_intermediate_size"] =
      source.metadata.need_count(".expert_shared_feed_forward_length");
}

void nemotron_h(const GgufSource& source, Json& config) {
  add_nemotron_h(source, config);
  if (source.metadata.count(".expert_count").value_or(0) == 0) return;
  corrected_experts(source, config);
  config["moe_shared_expert_intermediate_size"] =
      source.metadata.need_count(".expert_shared_feed_forward_length");
  if (const auto latent = source.metadata.count(".moe_latent_size")) {
    config["moe_latent_size"] = *latent;
  }
}

void cohere(const GgufSource& source, Json& config) {
  config["use_qk_norm"] = source.has("blk.0.attn_q_norm.weight");
  // llama.cpp scales by nothing where files say nothing.
  config["logit_scale"] = source.metadata.real(".logit_scale").value_or(1.0);
}

void seed_oss(const GgufSource& source, Json& config) {
  config["attention_out_bias"] = source.has("blk.0.attn_output.bias");
}

void exaone4(const GgufSource&, Json& config) {
  if (!config.contains("sliding_window")) config["sliding_window"] = nullptr;
}

void ernie(const GgufSource& source, Json& config) { config["use_bias"] = has_qkv_bias(source); }

void as_it_is(const GgufSource&, Json&) {}

void olmo3(const GgufSource& source, Json& config) { add_base_of_windows(source.metadata, config); }

// Keys by which llama.cpp computes otherwise, and which no architecture here reads.
void refuse_what_changes_numbers(const GgufMetadata& metadata) {
  constexpr const char* kCausal = ".attention.causal";
  if (!metadata.flag(kCausal).value_or(true)) {
    fail("GGUF metadata key {} is false: attention to later tokens too is not known here",
         quote(metadata.full(kCausal)));
  }
  constexpr const char* kAlpha = ".rope.scaling.alpha";
  if (const auto alpha = metadata.real_unless_0(kAlpha)) {
    fail("GGUF metadata key {} is {}, which is not known here", quote(metadata.full(kAlpha)),
         *alpha);
  }
}

// Keys that were not read and may change numbers: all but those that repeat the shapes of tensors,
// zeros, and keys of vision.
std::vector<std::string> keys_that_may_matter(const GgufMetadata& metadata) {
  constexpr std::string_view kHarmless[] = {
      ".attention.value_length",
      ".attention.value_length_swa",
      ".expert_feed_forward_length",
      ".expert_shared_feed_forward_length",
      ".pooling_type",
      ".rope.dimension_count_swa",
      ".rope.dimension_sections",
      ".rope.scaling.finetuned",
      ".rope.scaling.original_context_length",
      ".tensor_data_layout",
      ".use_parallel_residual",
      ".vocab_size",
  };
  std::vector<std::string> keys = metadata.unread();
  std::erase_if(keys, [&](const std::string& key) {
    return *metadata.find(key) == 0 || key.starts_with(metadata.full(".ssm.")) ||
           std::any_of(std::begin(kHarmless), std::end(kHarmless),
                       [&](std::string_view harmless) { return key == metadata.full(harmless); });
  });
  return keys;
}

/// One of GGUF's architectures, the model it is, and what its config has beside the shared keys.
struct Architecture {
  std::string_view name, model_type, model_class;
  void (*add)(const GgufSource& source, Json& config);
  bool two_bases = false;  ///< layers with a window may have a rope base of their own
};

constexpr Architecture kArchitectures[] = {
    {"llama", "llama", "LlamaForCausalLM", as_it_is},
    {"llama4", "llama4_text", "Llama4ForCausalLM", llama4},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", as_it_is},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", as_it_is},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", qwen3_moe},
    {"qwen3next", "qwen3_next", "Qwen3NextForCausalLM", qwen3_next},
    {"qwen35", "qwen3_5_text", "Qwen3_5ForCausalLM", qwen3_5},
    {"qwen35moe", "qwen3_5_moe_text", "Qwen3_5MoeForCausalLM", qwen3_next},
    {"glm4moe", "glm4_moe", "Glm4MoeForCausalLM", glm4_moe},
    {"minimax-m2", "minimax_m2", "MiniMaxM2ForCausalLM", minimax_m2},
    {"gpt-oss", "gpt_oss", "GptOssForCausalLM", gpt_oss},
    {"deepseek2", "deepseek_v3", "DeepseekV3ForCausalLM", deepseek2},
    {"gemma", "gemma", "GemmaForCausalLM", gemma},
    {"gemma2", "gemma2", "Gemma2ForCausalLM", gemma2},
    {"gemma3", "gemma3_text", "Gemma3ForCausalLM", gemma3, true},
    {"gemma4", "gemma4_text", "Gemma4ForCausalLM", config_from_gguf_gemma4, true},
    {"phi2", "phi", "PhiForCausalLM", phi},
    {"phi3", "phi3", "Phi3ForCausalLM", as_it_is},
    {"olmo2", "olmo2", "Olmo2ForCausalLM", as_it_is},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM", as_it_is},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM", gpt_neox},
    {"stablelm", "stablelm", "StableLmForCausalLM", stablelm},
    {"falcon", "falcon", "FalconForCausalLM", falcon},
    {"bloom", "bloom", "BloomForCausalLM", bloom},
    {"gpt2", "gpt2", "GPT2LMHeadModel", gpt2},
    {"starcoder2", "starcoder2", "Starcoder2ForCausalLM", starcoder2},
    {"granite", "granite", "GraniteForCausalLM", granite},
    {"granitemoe", "granitemoeshared", "GraniteMoeSharedForCausalLM", granite_moe},
    {"granitehybrid", "granitemoehybrid", "GraniteMoeHybridForCausalLM", granite_hybrid},
    {"nemotron_h", "nemotron_h", "NemotronHForCausalLM", nemotron_h},
    {"nemotron_h_moe", "nemotron_h", "NemotronHForCausalLM", nemotron_h},
    {"command-r", "cohere", "CohereForCausalLM", cohere},
    {"mistral3", "ministral3", "Ministral3ForCausalLM", as_it_is},
    {"cohere2", "cohere2", "Cohere2ForCausalLM", cohere},
    {"seed_oss", "seed_oss", "SeedOssForCausalLM", seed_oss},
    {"exaone4", "exaone4", "Exaone4ForCausalLM", exaone4},
    {"hunyuan-dense", "hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM", as_it_is},
    {"ernie4_5", "ernie4_5", "Ernie4_5ForCausalLM", ernie},
};
// Mixtral's files say "llama", and how many experts.
constexpr Architecture kMixtral = {"llama", "mixtral", "MixtralForCausalLM", mixtral};
// So do Mistral's with a window, which LLaMA's have not; those of Mistral Small 3.1 say "mistral3".
constexpr Architecture kMistral = {"llama", "mistral", "MistralForCausalLM", as_it_is};
// OLMo 3's say "olmo2", and have a window.
constexpr Architecture kOlmo3 = {"olmo2", "olmo3", "Olmo3ForCausalLM", olmo3, true};

const Architecture& model_of(const Architecture& known, const GgufMetadata& metadata) {
  const bool windows = metadata.count(".attention.sliding_window").value_or(0) > 0;
  if (known.name == "olmo2") return windows ? kOlmo3 : known;
  if (known.name == "mistral3" && !metadata.real(".attention.temperature_scale")) return kMistral;
  if (known.name != "llama") return known;
  if (metadata.count(".expert_count").value_or(0) > 0) return kMixtral;
  return windows ? kMistral : known;
}

}  // namespace

Json config_from_gguf(const Json& metadata, std::span<const TensorEntry> tensors,
                      const ReadFloats& read_floats, std::vector<std::string>* unread) {
  const auto name = GgufMetadata(metadata, "").text("general.architecture");
  if (!name) return nullptr;
  for (const Architecture& known : kArchitectures) {
    if (known.name != *name) continue;
    const GgufSource source(metadata, *name, tensors, read_floats);
    refuse_what_changes_numbers(source.metadata);
    const Architecture& model = model_of(known, source.metadata);
    Json config = shared_config(source, *name);
    config["model_type"] = model.model_type;
    config["architectures"] = {model.model_class};
    if (!model.two_bases) check_one_rope_base(source.metadata, config);
    model.add(source, config);
    if (unread != nullptr) *unread = keys_that_may_matter(source.metadata);
    return config;
  }
  return {{"model_type", *name}};
}

}  // namespace initrt
