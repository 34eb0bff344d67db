// GLM-4.5, 4.6 and 4.7 (Zeng et al. 2025, arXiv:2508.06471): grouped-query attention with half of
// each head rotated, and DeepSeek-V3's experts.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_glm4_moe(const nlohmann::json& json) {
  const ConfigReader config(json);
  RotaryKeys rotary;
  rotary.partial = 0.5;
  DecoderSpec spec = read_llama_like(config, "glm4_moe", {}, rotary, 1e-5);
  spec.qkv_bias = config.flag_or("attention_bias", false);
  if (config.flag_or("use_qk_norm", false)) spec.qk_norm = QkNorm::Heads;
  read_corrected_experts(config, spec);
  spec.hf_names.further_blocks = true;
  return build_decoder(spec);
}

}  // namespace initrt
