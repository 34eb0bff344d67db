// The LLaMA family (Touvron et al. 2023, arXiv:2302.13971): pre-norm blocks of rotary attention
// with grouped KV heads and a SiLU-gated feed-forward. OpenLLaMA, SmolLM and many more are the
// same.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_llama(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "llama");
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  spec.mlp_bias = config.flag_or("mlp_bias", false);
  return build_decoder(spec);
}

}  // namespace initrt
