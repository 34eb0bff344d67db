// BLOOM (BigScience 2022, arXiv:2211.05100): layer norms, one of the embedding too, biases, ALiBi.
#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"

namespace initrt {
namespace {

constexpr std::array kGlobal = {
    NamePair{"model.embed_tokens.weight", "transformer.word_embeddings.weight"},
    NamePair{"model.embed_norm.weight", "transformer.word_embeddings_layernorm.weight"},
    NamePair{"model.embed_norm.bias", "transformer.word_embeddings_layernorm.bias"},
    NamePair{"model.norm.weight", "transformer.ln_f.weight"},
    NamePair{"model.norm.bias", "transformer.ln_f.bias"},
    NamePair{"lm_head.weight", "lm_head.weight"},
};
constexpr std::array kModules = {
    NamePair{"input_layernorm", "input_layernorm"},
    NamePair{"self_attn.q_proj", "self_attention.query_key_value"},
    NamePair{"self_attn.k_proj", "self_attention.query_key_value"},
    NamePair{"self_attn.v_proj", "self_attention.query_key_value"},
    NamePair{"self_attn.o_proj", "self_attention.dense"},
    NamePair{"post_attention_layernorm", "post_attention_layernorm"},
    NamePair{"mlp.up_proj", "mlp.dense_h_to_4h"},
    NamePair{"mlp.down_proj", "mlp.dense_4h_to_h"},
};

}  // namespace

Graph build_bloom(const nlohmann::json& json) {
  const ConfigReader config(json);
  const auto either = [&](std::string_view one, std::string_view other) {
    return config.has(one) ? one : other;
  };
  SizeKeys keys;
  keys.hidden = either("n_embed", "hidden_size");
  keys.layers = either("n_layer", "num_hidden_layers");
  keys.heads = either("n_head", "num_attention_heads");
  keys.intermediate = keys.kv_heads = keys.head_size = keys.function = "";
  keys.context = "seq_length";
  keys.function_fallback = "gelu_new";
  keys.tied = true;
  DecoderSpec spec = read_sizes(config, "bloom", keys);
  refuse_flags(config, {"apply_residual_connection_post_layernorm"});
  read_layer_norm(config, spec, "layer_norm_epsilon");
  without_rotary(spec);
  spec.alibi = alibi_of(spec.heads);
  spec.embedding_norm = true;
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = true;
  spec.gated = false;
  spec.hf_names = {{kGlobal, "transformer.h.", kModules}, "transformer.", QkvOrder::ByGroup};
  return build_decoder(spec);
}

}  // namespace initrt
