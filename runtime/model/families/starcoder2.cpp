// StarCoder2 (Lozhkov et al. 2024, arXiv:2402.19173): layer norms and biases on grouped rotary
// attention with a window, and a feed-forward without a gate.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kModules = {
    NamePair{"mlp.up_proj", "mlp.c_fc"},
    NamePair{"mlp.down_proj", "mlp.c_proj"},
};

}  // namespace

Graph build_starcoder2(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.function_fallback = "gelu_pytorch_tanh";
  keys.tied = true;
  DecoderSpec spec = read_sizes(config, "starcoder2", keys);
  read_layer_norm(config, spec, "norm_epsilon");
  spec.rotary = {read_rotary(config, spec.head_size, spec.context)};
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = config.flag_or("use_bias", true);
  spec.gated = false;
  read_windows(config, spec, 0, [](std::uint32_t) { return true; });
  spec.hf_names.table = {{}, "model.layers.", kModules};
  return build_decoder(spec);
}

}  // namespace initrt
