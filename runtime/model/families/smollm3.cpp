// SmolLM3 (Hugging Face 2025): LLaMA with layers that know no positions (NoPE, Yang et al. 2025,
// arXiv:2501.18795). SmolLM and SmolLM2 are LLaMA.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_smollm3(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.tied = true;
  RotaryKeys rotary;
  rotary.theta = 2e6;
  DecoderSpec spec = read_llama_like(config, "smollm3", keys, rotary);
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  spec.mlp_bias = config.flag_or("mlp_bias", false);
  read_layers_without_positions(config, spec);
  if (config.flag_or("use_sliding_window", false)) {
    read_windows(config, spec, 0,
                 [&](std::uint32_t layer) { return !spec.layers[layer].rotary.has_value(); });
  }
  return build_decoder(spec);
}

}  // namespace initrt
