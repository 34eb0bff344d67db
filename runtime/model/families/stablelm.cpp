// StableLM 3B and StableLM 2 (Bellagente et al. 2024, arXiv:2402.17834): LLaMA with layer norms,
// heads rotated in part, and in some attention and feed-forward side by side.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_stablelm(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.head_size = "";
  DecoderSpec spec = read_sizes(config, "stablelm", keys);
  read_layer_norm(config, spec, "layer_norm_eps");
  RotaryKeys rotary;
  rotary.partial = 0.25;
  spec.rotary = {read_rotary(config, spec.head_size, spec.context, rotary)};
  if (config.flag_or("use_parallel_residual", false)) spec.residual = Residual::ParallelShared;
  spec.qkv_bias = config.flag_or("use_qkv_bias", false);
  refuse_flags(config, {"qk_layernorm"});
  return build_decoder(spec);
}

}  // namespace initrt
