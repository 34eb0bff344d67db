// Gemma (Mesnard et al. 2024, arXiv:2403.08295): weights of norms count from 1, the embedding is
// scaled; Gemma 2 (Riviere et al. 2024, arXiv:2408.00118): norms on both sides, soft caps, every
// other layer a window; Gemma 3 (Kamath et al. 2025, arXiv:2503.19786): Q and K normalised, and
// another rotary embedding in the layers with a window.
#include <cmath>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/error.h"

namespace initrt {
namespace {

DecoderSpec read_gemma(const ConfigReader& config, const char* family, std::string_view function,
                       const RotaryKeys& rotary = {}) {
  SizeKeys keys;
  keys.function = function;
  keys.function_fallback = "gelu_pytorch_tanh";
  keys.tied = true;
  DecoderSpec spec = read_llama_like(config, family, keys, rotary);
  spec.norm_offset = 1.0f;
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.hidden));
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  return spec;
}

// What Gemma 2 and 3 have in common.
void read_later_gemma(const ConfigReader& config, DecoderSpec& spec) {
  spec.residual = Residual::Sandwich;
  spec.attention_scale =
      static_cast<float>(1 / std::sqrt(config.positive_or("query_pre_attn_scalar", 256)));
  refuse_flags(config, {"use_bidirectional_attention"});
}

// A cap that is null is none.
float read_cap(const ConfigReader& config, const char* key, double fallback) {
  constexpr double kMin = 1e-3;  // scores are divided by it
  if (config.is_null(key)) return 0.0f;
  const double cap = config.positive_or(key, fallback);
  if (config.has(key) && cap < kMin) fail("model config: {} is {}, below {}", key, cap, kMin);
  return static_cast<float>(cap);
}

// Published configs of Gemma 3 have only what differs from the defaults of its class
// (transformers, configuration_gemma3.py).
nlohmann::json with_gemma3_defaults(const nlohmann::json& config) {
  nlohmann::json all = {{"vocab_size", 262208},      {"hidden_size", 2304},
                        {"intermediate_size", 9216}, {"num_hidden_layers", 26},
                        {"num_attention_heads", 8},  {"num_key_value_heads", 4},
                        {"head_dim", 256},           {"max_position_embeddings", 131072}};
  all.update(config);
  return all;
}

}  // namespace

Graph build_gemma(const nlohmann::json& json) {
  const ConfigReader config(json);
  // The first configs say "gelu" where the model was trained with its approximation.
  const bool old = config.text_or("hidden_act", "gelu") == "gelu";
  DecoderSpec spec = read_gemma(config, "gemma", "hidden_act");
  if (old) spec.function = GateFunction::GeluTanh;
  return build_decoder(spec);
}

Graph build_gemma2(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_gemma(config, "gemma2", "hidden_activation");
  read_later_gemma(config, spec);
  spec.attention_softcap = read_cap(config, "attn_logit_softcapping", 50);
  spec.logit_softcap = read_cap(config, "final_logit_softcapping", 30);
  read_windows(config, spec, 4096, [](std::uint32_t layer) { return layer % 2 == 0; });
  return build_decoder(spec);
}

Graph build_gemma3(const nlohmann::json& json) {
  if (!json.is_object()) fail("the model config is not a JSON object");
  const nlohmann::json whole = with_gemma3_defaults(json);
  const ConfigReader config(whole);
  RotaryKeys global, local;
  global.theta = 1e6;
  global.layer_type = "full_attention";
  local.theta_key = "rope_local_base_freq";
  local.layer_type = "sliding_attention";
  local.scaled = false;
  DecoderSpec spec = read_gemma(config, "gemma3", "hidden_activation", global);
  read_later_gemma(config, spec);
  spec.qk_norm = QkNorm::Heads;
  spec.attention_softcap = read_cap(config, "attn_logit_softcapping", 0);
  spec.logit_softcap = read_cap(config, "final_logit_softcapping", 0);
  spec.rotary.push_back(read_rotary(config, spec.head_size, spec.context, local));
  const std::uint64_t pattern = config.whole_or(
      "sliding_window_pattern", config.whole_or("_sliding_window_pattern", 6, 1, 4096), 1, 4096);
  read_windows(config, spec, 4096, [&](std::uint32_t layer) { return (layer + 1) % pattern != 0; });
  for (LayerSpec& layer : spec.layers) layer.rotary = layer.window > 0 ? 1 : 0;
  return build_decoder(spec);
}

}  // namespace initrt
