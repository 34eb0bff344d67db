// Command R and Aya (Cohere 2024): attention and feed-forward side by side behind one layer norm
// without a bias, rotary halves interleaved, logits scaled; Q and K of each head normalised in the
// largest. Command R7B and A, Cohere 2 (Cohere 2025, arXiv:2504.00698): windows in three of four
// layers, and no positions in the others.
#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

DecoderSpec read_cohere(const ConfigReader& config, const char* family) {
  SizeKeys keys;
  keys.tied = true;
  // What the first Command R was trained on; its other key is what it was published for.
  if (config.has("model_max_length")) keys.context = "model_max_length";
  DecoderSpec spec = read_sizes(config, family, keys);
  read_layer_norm(config, spec, "layer_norm_eps");
  spec.norm_bias = false;
  spec.rotary = {read_rotary(config, spec.head_size, spec.context)};
  spec.residual = Residual::ParallelShared;
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  spec.logit_scale = static_cast<float>(config.positive_or("logit_scale", 0.0625));
  spec.hf_names.rotary_interleaved = true;
  return spec;
}

}  // namespace

Graph build_cohere(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_cohere(config, "cohere");
  if (config.flag_or("use_qk_norm", false)) {
    spec.qk_norm = QkNorm::EachHead;
    spec.qk_norm_kind = NormKind::Layer;
  }
  return build_decoder(spec);
}

Graph build_cohere2(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_cohere(config, "cohere2");
  const std::uint64_t pattern = config.whole_or("sliding_window_pattern", 4, 1, 4096);
  read_windows(config, spec, 4096, [&](std::uint32_t layer) { return (layer + 1) % pattern != 0; });
  for (LayerSpec& layer : spec.layers) {
    if (layer.window == 0) layer.rotary.reset();
  }
  return build_decoder(spec);
}

}  // namespace initrt
