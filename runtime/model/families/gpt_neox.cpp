// GPT-NeoX (Black et al. 2022, arXiv:2204.06745), Pythia, RedPajama-INCITE, the first StableLM:
// layer norms and biases, heads rotated in part, attention and feed-forward side by side.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kGlobal = {
    NamePair{"model.embed_tokens.weight", "gpt_neox.embed_in.weight"},
    NamePair{"model.norm.weight", "gpt_neox.final_layer_norm.weight"},
    NamePair{"model.norm.bias", "gpt_neox.final_layer_norm.bias"},
    NamePair{"lm_head.weight", "embed_out.weight"},
};
constexpr std::array kModules = {
    NamePair{"input_layernorm", "input_layernorm"},
    NamePair{"self_attn.q_proj", "attention.query_key_value"},
    NamePair{"self_attn.k_proj", "attention.query_key_value"},
    NamePair{"self_attn.v_proj", "attention.query_key_value"},
    NamePair{"self_attn.o_proj", "attention.dense"},
    NamePair{"post_attention_layernorm", "post_attention_layernorm"},
    NamePair{"mlp.up_proj", "mlp.dense_h_to_4h"},
    NamePair{"mlp.down_proj", "mlp.dense_4h_to_h"},
};
// Causal masks.
constexpr std::string_view kBuffers[] = {"attention.bias", "attention.masked_bias"};

}  // namespace

Graph build_gpt_neox(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.kv_heads = keys.head_size = "";
  keys.function_fallback = "gelu";
  DecoderSpec spec = read_sizes(config, "gpt_neox", keys);
  read_layer_norm(config, spec, "layer_norm_eps");
  RotaryKeys rotary;
  rotary.partial = 0.25;
  rotary.theta_key = "rotary_emb_base";
  rotary.partial_key = "rotary_pct";
  spec.rotary = {read_rotary(config, spec.head_size, spec.context, rotary)};
  spec.residual =
      config.flag_or("use_parallel_residual", true) ? Residual::Parallel : Residual::PreNorm;
  spec.qkv_bias = spec.out_bias = config.flag_or("attention_bias", true);
  spec.gated = false;
  spec.mlp_bias = true;
  spec.hf_names = {{kGlobal, "gpt_neox.layers.", kModules}, "gpt_neox.", QkvOrder::ByGroup};
  spec.hf_names.buffers = kBuffers;
  return build_decoder(spec);
}

}  // namespace initrt
