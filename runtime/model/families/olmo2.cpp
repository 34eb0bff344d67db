// OLMo 2 (OLMo Team 2024, arXiv:2501.00656): LLaMA with the norms behind attention and
// feed-forward, and Q and K normalised whole.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {

Graph build_olmo2(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "olmo2", {}, {}, 1e-5);
  spec.residual = Residual::PostNorm;
  spec.qk_norm = QkNorm::Whole;
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  return build_decoder(spec);
}

}  // namespace initrt
