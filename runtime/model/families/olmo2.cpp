// OLMo 2 (OLMo Team 2024, arXiv:2501.00656): LLaMA with the norms behind attention and
// feed-forward, and Q and K normalised whole; OLMo 3 (Olmo Team 2025): windows in three of four
// layers, and rotary scaling in the others alone.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

DecoderSpec read_olmo(const ConfigReader& config, const char* family,
                      const RotaryKeys& rotary = {}) {
  DecoderSpec spec = read_llama_like(config, family, {}, rotary, 1e-5);
  spec.residual = Residual::PostNorm;
  spec.qk_norm = QkNorm::Whole;
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  return spec;
}

}  // namespace

Graph build_olmo2(const nlohmann::json& json) {
  const ConfigReader config(json);
  return build_decoder(read_olmo(config, "olmo2"));
}

Graph build_olmo3(const nlohmann::json& json) {
  const ConfigReader config(json);
  RotaryKeys full, sliding;
  full.theta = sliding.theta = 5e5;
  full.layer_type = "full_attention";
  sliding.layer_type = "sliding_attention";
  sliding.scaled = false;
  DecoderSpec spec = read_olmo(config, "olmo3", full);
  spec.rotary.push_back(read_rotary(config, spec.head_size, spec.context, sliding));
  read_windows(config, spec, 4096, [](std::uint32_t layer) { return (layer + 1) % 4 != 0; });
  for (LayerSpec& layer : spec.layers) layer.rotary = layer.window > 0 ? 1 : 0;
  return build_decoder(spec);
}

}  // namespace initrt
