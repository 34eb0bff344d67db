// Phi-1, Phi-1.5 (Li et al. 2023, arXiv:2309.05463) and Phi-2: layer norms, biases everywhere and
// on the logits too, attention and feed-forward side by side, heads rotated in part.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kGlobal = {
    NamePair{"model.norm.weight", "model.final_layernorm.weight"},
    NamePair{"model.norm.bias", "model.final_layernorm.bias"},
};
constexpr std::array kModules = {
    NamePair{"self_attn.o_proj", "self_attn.dense"},
    NamePair{"mlp.up_proj", "mlp.fc1"},
    NamePair{"mlp.down_proj", "mlp.fc2"},
};

}  // namespace

Graph build_phi(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.function_fallback = "gelu_new";
  DecoderSpec spec = read_sizes(config, "phi", keys);
  read_layer_norm(config, spec, "layer_norm_eps");
  RotaryKeys rotary;
  rotary.partial = 0.5;
  spec.rotary = {read_rotary(config, spec.head_size, spec.context, rotary)};
  spec.residual = Residual::ParallelShared;
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = spec.head_bias = true;
  spec.gated = false;
  refuse_flags(config, {"qk_layernorm"});
  spec.hf_names.table = {kGlobal, "model.layers.", kModules};
  return build_decoder(spec);
}

}  // namespace initrt
