// Phi-3 and Phi-4 (Abdin et al. 2024, arXiv:2404.14219): LLaMA with Q, K and V in one matrix, gate
// and up projections in another, and LongRoPE.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kModules = {
    NamePair{"self_attn.q_proj", "self_attn.qkv_proj"},
    NamePair{"self_attn.k_proj", "self_attn.qkv_proj"},
    NamePair{"self_attn.v_proj", "self_attn.qkv_proj"},
    NamePair{"mlp.gate_proj", "mlp.gate_up_proj"},
    NamePair{"mlp.up_proj", "mlp.gate_up_proj"},
};

}  // namespace

Graph build_phi3(const nlohmann::json& json) {
  const ConfigReader config(json);
  RotaryKeys rotary;
  rotary.yarn_is_longrope = true;
  DecoderSpec spec = read_llama_like(config, "phi3", {}, rotary, 1e-5);
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  read_windows(config, spec, 0, [](std::uint32_t) { return true; });
  spec.hf_names.table = {{}, "model.layers.", kModules};
  return build_decoder(spec);
}

}  // namespace initrt
