// ERNIE 4.5 without experts (Baidu 2025): LLaMA with interleaved rotary halves.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_ernie4_5(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.tied = true;
  RotaryKeys rotary;
  rotary.theta = 5e5;
  DecoderSpec spec = read_llama_like(config, "ernie4_5", keys, rotary, 1e-5);
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = config.flag_or("use_bias", false);
  spec.hf_names.rotary_interleaved = true;
  return build_decoder(spec);
}

}  // namespace initrt
