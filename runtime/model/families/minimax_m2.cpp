// MiniMax-M2 (MiniMax 2025): all layers have experts, chosen by corrected sigmoids; Q and K are
// normalised as a whole.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kModules = {
    NamePair{"mlp.gate", "block_sparse_moe.gate"},
    NamePair{"mlp.gate.e_score_correction_bias", "block_sparse_moe.e_score_correction_bias"},
    NamePair{"mlp.experts.*.gate_proj", "block_sparse_moe.experts.*.w1"},
    NamePair{"mlp.experts.*.up_proj", "block_sparse_moe.experts.*.w3"},
    NamePair{"mlp.experts.*.down_proj", "block_sparse_moe.experts.*.w2"},
};

}  // namespace

Graph build_minimax_m2(const nlohmann::json& json) {
  const ConfigReader config(json);
  RotaryKeys rotary;
  rotary.theta = 5e6;
  SizeKeys keys;
  DecoderSpec spec = read_sizes(config, "minimax_m2", keys);
  spec.epsilon = static_cast<float>(config.positive_or("rms_norm_eps", 1e-6));
  // Published configs give the elements that are rotated, others the part of a head.
  if (config.has("rotary_dim")) {
    rotary.partial = static_cast<double>(config.whole("rotary_dim", 2, spec.head_size)) /
                     static_cast<double>(spec.head_size);
  }
  spec.rotary = {read_rotary(config, spec.head_size, spec.context, rotary)};
  if (config.flag_or("use_qk_norm", true)) spec.qk_norm = QkNorm::Whole;
  read_experts(config, spec, "num_local_experts");
  spec.experts.intermediate = spec.intermediate;
  spec.experts.routing.score = RouteScore::Sigmoid;
  spec.experts.correction = true;
  for (LayerSpec& layer : spec.layers) layer.experts = true;
  spec.hf_names.table = {{}, "model.layers.", kModules};
  spec.hf_names.further_blocks = true;
  return build_decoder(spec);
}

}  // namespace initrt
