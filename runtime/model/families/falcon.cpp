// Falcon (Almazrouei et al. 2023, arXiv:2311.16867): layer norms, attention and feed-forward side
// by side; one KV head (7B), or groups of them with a norm for each side (40B, 180B). Falcon-RW,
// the first: ALiBi, and one after the other.
#include <array>
#include <cmath>

#include "runtime/model/decoder_config.h"
#include "runtime/model/families/families.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::array kGlobal = {
    NamePair{"model.embed_tokens.weight", "transformer.word_embeddings.weight"},
    NamePair{"model.norm.weight", "transformer.ln_f.weight"},
    NamePair{"model.norm.bias", "transformer.ln_f.bias"},
    NamePair{"lm_head.weight", "lm_head.weight"},
};

template <std::size_t norms>
constexpr auto modules_with(const std::array<NamePair, norms>& norm_names) {
  constexpr std::array kShared = {
      NamePair{"self_attn.q_proj", "self_attention.query_key_value"},
      NamePair{"self_attn.k_proj", "self_attention.query_key_value"},
      NamePair{"self_attn.v_proj", "self_attention.query_key_value"},
      NamePair{"self_attn.o_proj", "self_attention.dense"},
      NamePair{"mlp.up_proj", "mlp.dense_h_to_4h"},
      NamePair{"mlp.down_proj", "mlp.dense_4h_to_h"},
  };
  std::array<NamePair, kShared.size() + norms> all{};
  for (std::size_t i = 0; i < norms; ++i) all[i] = norm_names[i];
  for (std::size_t i = 0; i < kShared.size(); ++i) all[norms + i] = kShared[i];
  return all;
}

constexpr auto kModules =
    modules_with(std::array{NamePair{"input_layernorm", "input_layernorm"},
                            NamePair{"post_attention_layernorm", "post_attention_layernorm"}});
constexpr auto kModulesOfTwoNorms = modules_with(std::array{
    NamePair{"input_layernorm", "ln_attn"}, NamePair{"post_attention_layernorm", "ln_mlp"}});

// Biases are added to scores before these are scaled.
void read_alibi(DecoderSpec& spec) {
  without_rotary(spec);
  spec.alibi = alibi_of(spec.heads);
  spec.alibi.scale = 1.0f / std::sqrt(static_cast<float>(spec.head_size));
  spec.alibi.rounded = true;
}

}  // namespace

Graph build_falcon(const nlohmann::json& json) {
  const ConfigReader config(json);
  SizeKeys keys;
  keys.intermediate = "ffn_hidden_size";
  // KV heads where there are several groups of them; no key where there is one, or one for each
  // query head.
  const bool later = config.flag_or("new_decoder_architecture", false);
  keys.kv_heads = later ? "num_kv_heads" : "";
  keys.head_size = "";
  keys.function = "activation";
  keys.function_fallback = "gelu";
  keys.tied = true;
  DecoderSpec spec = read_sizes(config, "falcon", keys);
  if (!later && config.flag_or("multi_query", true)) spec.kv_heads = 1;
  read_layer_norm(config, spec, "layer_norm_epsilon");
  if (config.flag_or("alibi", false)) {
    read_alibi(spec);
  } else {
    spec.rotary = {read_rotary(config, spec.head_size, spec.context)};
  }
  const bool two_norms = later && config.whole_or("num_ln_in_parallel_attn", 2, 1, 2) == 2;
  if (later && !config.flag_or("parallel_attn", true)) {
    fail(
        "model config: parallel_attn is false beside new_decoder_architecture, which is not known");
  }
  spec.residual = two_norms                                        ? Residual::Parallel
                  : later || config.flag_or("parallel_attn", true) ? Residual::ParallelShared
                                                                   : Residual::PreNorm;
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = config.flag_or("bias", false);
  spec.gated = false;
  spec.hf_names.table = {kGlobal, "transformer.h.", kModules};
  if (two_norms) spec.hf_names.table.in_block = kModulesOfTwoNorms;
  spec.hf_names.base_prefix = "transformer.";
  spec.hf_names.qkv = QkvOrder::ByGroup;
  return build_decoder(spec);
}

}  // namespace initrt
