// GPT-2 (Radford et al. 2019): learned positions, layer norms and biases, matrices stored [in,
// out].
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kGlobal = {
    NamePair{"model.embed_tokens.weight", "transformer.wte.weight"},
    NamePair{"model.embed_positions.weight", "transformer.wpe.weight"},
    NamePair{"model.norm.weight", "transformer.ln_f.weight"},
    NamePair{"model.norm.bias", "transformer.ln_f.bias"},
    NamePair{"lm_head.weight", "lm_head.weight"},
};
constexpr std::array kModules = {
    NamePair{"input_layernorm", "ln_1"},         NamePair{"self_attn.q_proj", "attn.c_attn"},
    NamePair{"self_attn.k_proj", "attn.c_attn"}, NamePair{"self_attn.v_proj", "attn.c_attn"},
    NamePair{"self_attn.o_proj", "attn.c_proj"}, NamePair{"post_attention_layernorm", "ln_2"},
    NamePair{"mlp.up_proj", "mlp.c_fc"},         NamePair{"mlp.down_proj", "mlp.c_proj"},
};
// Causal masks.
constexpr std::string_view kBuffers[] = {"attn.bias", "attn.masked_bias"};

}  // namespace

Graph build_gpt2(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.hidden = "n_embd";
  keys.intermediate = "n_inner";
  keys.layers = "n_layer";
  keys.heads = "n_head";
  keys.kv_heads = keys.head_size = "";
  keys.context = "n_positions";
  keys.function = "activation_function";
  keys.function_fallback = "gelu_new";
  keys.tied = true;
  DecoderSpec spec = read_sizes(config, "gpt2", keys);
  read_layer_norm(config, spec, "layer_norm_epsilon");
  spec.learned_positions = true;
  without_rotary(spec);
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = true;
  spec.gated = false;
  if (!config.flag_or("scale_attn_weights", true)) spec.attention_scale = 1.0f;
  refuse_flags(config, {"scale_attn_by_inverse_layer_idx", "add_cross_attention"});
  spec.hf_names = {{kGlobal, "transformer.h.", kModules}, "transformer.", QkvOrder::Stacked, true};
  spec.hf_names.buffers = kBuffers;
  return build_decoder(spec);
}

}  // namespace initrt
