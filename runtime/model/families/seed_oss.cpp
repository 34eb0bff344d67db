// Seed-OSS (ByteDance Seed 2025): LLaMA with biases on Q, K and V.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_seed_oss(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "seed_oss");
  spec.qkv_bias = config.flag_or("attention_bias", true);
  spec.out_bias = config.flag_or("attention_out_bias", false);
  spec.mlp_bias = config.flag_or("mlp_bias", false);
  return build_decoder(spec);
}

}  // namespace initrt
