// StableLM 3B and StableLM 2 (Bellagente et al. 2024, arXiv:2402.17834): LLaMA with layer norms,
// heads rotated in part, and in some attention and feed-forward side by side; the 12B normalises
// each head of Q and K with weights that are a tensor of their own.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kModules = {
    NamePair{"self_attn.q_norm", "self_attn.q_layernorm.norms.*"},
    NamePair{"self_attn.k_norm", "self_attn.k_layernorm.norms.*"},
};

}  // namespace

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
  if (config.flag_or("qk_layernorm", false)) {
    spec.qk_norm = QkNorm::EachHead;
    spec.qk_norm_kind = NormKind::Layer;
  }
  spec.hf_names.table = {{}, "model.layers.", kModules};
  return build_decoder(spec);
}

}  // namespace initrt
