// Granite 3 (IBM 2024): LLaMA with multipliers on the embedding, attention, residuals and logits.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_granite(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "granite");
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  spec.mlp_bias = config.flag_or("mlp_bias", false);
  spec.embedding_scale = static_cast<float>(config.positive_or("embedding_multiplier", 1));
  spec.attention_scale = static_cast<float>(config.positive_or("attention_multiplier", 1));
  spec.residual_scale = static_cast<float>(config.positive_or("residual_multiplier", 1));
  spec.logit_scale = static_cast<float>(1 / config.positive_or("logits_scaling", 1));
  return build_decoder(spec);
}

}  // namespace initrt
