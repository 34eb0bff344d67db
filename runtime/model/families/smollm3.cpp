// SmolLM3 (Hugging Face 2025): LLaMA with layers that know no positions (NoPE, Yang et al. 2025,
// arXiv:2501.18795). SmolLM and SmolLM2 are LLaMA.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/error.h"

namespace initrt {
namespace {

void read_layers_without_positions(const ConfigReader& config, DecoderSpec& spec) {
  const std::uint64_t interval = config.whole_or("no_rope_layer_interval", 4, 1, 4096);
  const bool listed = config.has("no_rope_layers");
  const nlohmann::json rotated = listed ? config.at("no_rope_layers") : nullptr;
  if (listed && (!rotated.is_array() || rotated.size() != spec.layers.size())) {
    fail("model config: no_rope_layers is not a list of {} layers", spec.layers.size());
  }
  for (std::uint32_t layer = 0; layer < spec.layers.size(); ++layer) {
    // In spite of its name, the list has 1 for layers that are rotated.
    const bool has_rope = listed ? rotated[layer] == 1 : (layer + 1) % interval != 0;
    if (!has_rope) spec.layers[layer].rotary.reset();
  }
}

}  // namespace

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
