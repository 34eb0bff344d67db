// Hunyuan's dense models (Tencent 2025): LLaMA whose heads of Q and K are normalised after they are
// rotated.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kModules = {
    NamePair{"self_attn.q_norm", "self_attn.query_layernorm"},
    NamePair{"self_attn.k_norm", "self_attn.key_layernorm"},
};

}  // namespace

Graph build_hunyuan_v1_dense(const nlohmann::json& json) {
  const ConfigReader config(json);
  DecoderSpec spec = read_llama_like(config, "hunyuan_v1_dense", {}, {}, 1e-5);
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", false);
  spec.qk_norm = QkNorm::Heads;
  spec.qk_norm_rotated = true;
  spec.hf_names.table = {{}, "model.layers.", kModules};
  return build_decoder(spec);
}

}  // namespace initrt
