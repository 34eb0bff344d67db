#include "sharding/checkpoint/names/names_gguf.h"

#include <algorithm>
#include <array>

#include "sharding/checkpoint/names/canonical_name.h"
#include "sharding/checkpoint/names/fused.h"

namespace initrt {
namespace {

constexpr std::array kGlobal = {
    NamePair{"model.embed_tokens.weight", "token_embd.weight"},
    NamePair{"model.embed_positions.weight", "position_embd.weight"},
    NamePair{"model.embed_norm.weight", "token_embd_norm.weight"},
    NamePair{"model.embed_norm.bias", "token_embd_norm.bias"},
    NamePair{"model.norm.weight", "output_norm.weight"},
    NamePair{"model.norm.bias", "output_norm.bias"},
    NamePair{"lm_head.weight", "output.weight"},
    NamePair{"lm_head.bias", "output.bias"},
    NamePair{"model.embed_tokens_per_layer.weight", "per_layer_token_embd.weight"},
    NamePair{"model.per_layer_model_projection.weight", "per_layer_model_proj.weight"},
    NamePair{"model.per_layer_projection_norm.weight", "per_layer_proj_norm.weight"},
};

constexpr std::array kInBlock = {
    NamePair{"input_layernorm", "attn_norm"},
    NamePair{"self_attn.q_proj", "attn_q"},
    NamePair{"self_attn.k_proj", "attn_k"},
    NamePair{"self_attn.v_proj", "attn_v"},
    NamePair{"self_attn.o_proj", "attn_output"},
    NamePair{"self_attn.q_norm", "attn_q_norm"},
    NamePair{"self_attn.k_norm", "attn_k_norm"},
    NamePair{"post_attention_layernorm", "ffn_norm"},
    NamePair{"pre_feedforward_layernorm", "ffn_norm"},
    NamePair{"post_feedforward_layernorm", "post_ffw_norm"},
    NamePair{"post_feedforward_layernorm_1", "post_ffw_norm_1"},
    NamePair{"pre_feedforward_layernorm_2", "pre_ffw_norm_2"},
    NamePair{"post_feedforward_layernorm_2", "post_ffw_norm_2"},
    NamePair{"router.scale", "ffn_gate_inp.scale"},
    NamePair{"router.per_expert_scale", "ffn_down_exps.scale"},
    NamePair{"per_layer_input_gate", "inp_gate"},
    NamePair{"per_layer_projection", "proj"},
    NamePair{"post_per_layer_input_norm", "post_norm"},
    NamePair{".layer_scalar", "layer_output_scale.weight"},
    NamePair{"mlp.gate_proj", "ffn_gate"},
    NamePair{"mlp.up_proj", "ffn_up"},
    NamePair{"mlp.down_proj", "ffn_down"},
    NamePair{"mlp.gate", "ffn_gate_inp"},
    NamePair{"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
    NamePair{"mlp.latent_in_proj", "ffn_latent_down"},
    NamePair{"mlp.latent_out_proj", "ffn_latent_up"},
    NamePair{"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    NamePair{"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    NamePair{"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    NamePair{"self_attn.sinks", "attn_sinks.weight"},
    NamePair{"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
    NamePair{"linear_attn.in_proj_qkv", "attn_qkv"},
    NamePair{"linear_attn.in_proj_z", "attn_gate"},
    NamePair{"linear_attn.in_proj_ba", "ssm_ba"},
    NamePair{"linear_attn.in_proj_b", "ssm_beta"},
    NamePair{"linear_attn.in_proj_a", "ssm_alpha"},
    NamePair{"linear_attn.conv1d", "ssm_conv1d"},
    NamePair{"linear_attn.A_log", "ssm_a"},
    NamePair{"linear_attn.dt_bias", "ssm_dt.bias"},
    NamePair{"linear_attn.norm", "ssm_norm"},
    NamePair{"linear_attn.out_proj", "ssm_out"},
    NamePair{"mamba.in_proj", "ssm_in"},
    NamePair{"mamba.conv1d", "ssm_conv1d"},
    NamePair{"mamba.A_log", "ssm_a"},
    NamePair{"mamba.D", "ssm_d"},
    NamePair{"mamba.dt_bias", "ssm_dt.bias"},
    NamePair{"mamba.norm", "ssm_norm"},
    NamePair{"mamba.out_proj", "ssm_out"},
    NamePair{"self_attn.q_a_proj", "attn_q_a"},
    NamePair{"self_attn.q_a_layernorm", "attn_q_a_norm"},
    NamePair{"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    NamePair{"mlp.experts.*.gate_proj", "ffn_gate.*"},
    NamePair{"mlp.experts.*.up_proj", "ffn_up.*"},
    NamePair{"mlp.experts.*.down_proj", "ffn_down.*"},
};

constexpr NameTable kTable{kGlobal, "blk.", kInBlock};

// Of latent attention: Hugging Face's matrices, of which parts are canonical ones.
constexpr std::array kLatent = {
    NamePair{"self_attn.q_proj", "attn_q"},
    NamePair{"self_attn.q_b_proj", "attn_q_b"},
    NamePair{"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    NamePair{"self_attn.kv_b_proj", "attn_kv_b"},
};
// What newer files have instead of the last one: canonical ones, a matrix for each head.
constexpr std::array kLatentOfHeads = {
    NamePair{"self_attn.k_b_proj", "attn_k_b"},
    NamePair{"self_attn.v_b_proj", "attn_v_b"},
};

// Canonical modules that some files have under other names, which take their place where they are.
constexpr std::array kInstead = {
    NamePair{"post_attention_layernorm", "post_attention_norm"},  // two norms on each side
    NamePair{"self_attn.q_proj", "attn_qkv"},
    NamePair{"self_attn.k_proj", "attn_qkv"},
    NamePair{"self_attn.v_proj", "attn_qkv"},
    NamePair{"mlp.experts.*.gate_proj", "ffn_gate_exps"},
    NamePair{"mlp.experts.*.up_proj", "ffn_up_exps"},
    NamePair{"mlp.experts.*.down_proj", "ffn_down_exps"},
};

std::string_view architecture(const StoredNames& names) {
  return names.metadata_text("general.architecture");
}

// The converters to GGUF interleave the halves of architectures whose graphs rotate neighbouring
// pairs (GGML_ROPE_TYPE_NORM): "llama" and what its converter class is the base of; and keep those
// that are so in Hugging Face's files. Others keep the split halves.
bool is_interleaved(std::string_view architecture) {
  constexpr std::array<std::string_view, 13> kInterleaved = {
      "llama",      "llama4",         "granite",  "granitemoe", "granitehybrid",
      "nemotron_h", "nemotron_h_moe", "smollm3",  "command-r",  "cohere2",
      "ernie4_5",   "mistral3",       "deepseek2"};
  return std::find(kInterleaved.begin(), kInterleaved.end(), architecture) != kInterleaved.end();
}

std::string in_block(const BlockName& name, std::string_view module) {
  std::string text("blk.");
  text.append(name.layer).append(".").append(module);
  text.append(".").append(name.kind);
  return text;
}

// Falcon's files with two norms have the feed-forward's where others have attention's.
std::string falcon_norm(const BlockName& name, const StoredNames& names) {
  std::string other = in_block(name, "attn_norm_2");
  if (names.find(other) < 0) return "";
  if (name.module == "input_layernorm") return other;
  return name.module == "post_attention_layernorm" ? in_block(name, "attn_norm") : "";
}

// @returns whether the canonical tensor is a part of latent attention that files have otherwise
bool locate_latent(const Tensor& canonical, const BlockName& name, const Graph& graph,
                   const StoredNames& names, Stored& stored) {
  if (graph.latent.rank == 0) return false;
  if (const std::string_view heads = find_pair(kLatentOfHeads, name.module); !heads.empty()) {
    if (std::string own = in_block(name, heads); names.find(own) >= 0) {
      stored.name = std::move(own);
      stored.stacked = true;
      return true;
    }
  }
  const std::string_view module = place_latent(stored, canonical, graph);
  if (module.empty()) return false;
  stored.name = in_block(name, find_pair(kLatent, module));
  return true;
}

// Parts of a state space that files have otherwise: what is one matrix, and vectors that are two-
// dimensional.
void locate_state_space(const Tensor& canonical, const BlockName& name, const Graph& graph,
                        Stored& stored) {
  if (const std::string_view module = place_state_space(stored, canonical, graph);
      !module.empty()) {
    stored.name = in_block(name, find_pair(kInBlock, module));
    return;
  }
  stored.stacked =
      name.module == "mamba.norm" || (name.module == "mamba" && name.kind != "dt_bias");
}

// Qwen3.5, dense and with experts.
bool is_qwen3_5(std::string_view architecture) {
  return architecture == "qwen35" || architecture == "qwen35moe";
}

// Parts of a gated delta net, whose gates alone lie by key head (Qwen3-Next), and of attention that
// is gated.
// @returns whether the canonical tensor is one of them
bool locate_gated(const Tensor& canonical, const BlockName& name, const Graph& graph,
                  std::string_view architecture, Stored& stored) {
  const bool gate = name.module.ends_with(".b_proj") || name.module.ends_with(".a_proj");
  const bool by_head = gate && !is_qwen3_5(architecture);
  std::string_view module =
      place_delta(stored, canonical, graph, by_head ? DeltaForm::ByKeyHead : DeltaForm::Apart);
  if (module.empty() && graph.hf_names.gates_behind_queries) {
    module = place_gated_query(stored, canonical, graph);
  }
  if (module.empty()) return false;
  stored.name = in_block(name, find_pair(kInBlock, module));
  return true;
}

// Files of these have 1 + w where others have w.
bool has_moved_norms(std::string_view architecture, std::string_view module) {
  return (architecture.starts_with("gemma") && architecture != "gemma4") ||
         ((architecture == "qwen3next" || is_qwen3_5(architecture)) &&
          module != "linear_attn.norm");
}

// Where a tensor is but for the order of value heads.
Stored locate_untiled(const Tensor& canonical, const BlockName& name, const Graph& graph,
                      const StoredNames& names) {
  Stored stored;
  stored.name = translate(kTable, canonical.name);
  stored.rotary_interleaved = is_interleaved(architecture(names));
  const bool is_norm = canonical.name.ends_with("norm.weight");
  if (is_norm && has_moved_norms(architecture(names), name.module)) stored.map.add = -1.0f;
  if (name.layer.empty()) return stored;

  if (std::string norm = falcon_norm(name, names); !norm.empty()) {
    stored.name = std::move(norm);
    return stored;
  }
  if (locate_latent(canonical, name, graph, names, stored)) return stored;
  if (locate_gated(canonical, name, graph, architecture(names), stored)) return stored;
  stored.map.log_of_negated = name.kind == "A_log";
  if (name.module.starts_with("mamba")) {
    locate_state_space(canonical, name, graph, stored);
    return stored;
  }
  // Layers with one norm call it the same, whatever they are.
  if (name.module == "post_attention_layernorm" && architecture(names).starts_with("nemotron_h")) {
    stored.name = in_block(name, "attn_norm");
    return stored;
  }
  const std::string_view instead = find_pair(kInstead, name.module);
  if (const std::string other = in_block(name, instead);
      !instead.empty() && names.find(other) >= 0) {
    stored.name = other;
    if (!name.expert.empty()) place_expert(stored, canonical, *names.entry(other));
    if (const QkvPart part = qkv_part(canonical.name); part != QkvPart::None) {
      place_qkv(stored, part, QkvOrder::Stacked, graph);
    }
    return stored;
  }
  if (!name.expert.empty() && !name.module.ends_with("down_proj")) {
    const TensorEntry* const both = names.entry(in_block(name, "ffn_gate_up_exps"));
    if (both != nullptr) {
      stored.name = in_block(name, "ffn_gate_up_exps");
      place_expert(stored, canonical, *both, name.module.ends_with("up_proj") ? 1 : 0, 2);
    }
    return stored;
  }
  // Phi-3's gate projection stands in front of the up projection.
  const bool gate = name.module == "mlp.gate_proj", up = name.module == "mlp.up_proj";
  if (gate || up) {
    const TensorEntry* const both = names.entry(in_block(name, "ffn_up"));
    if (both != nullptr && !both->shape.empty() && both->shape[0] == 2 * canonical.rows) {
      stored.name = in_block(name, "ffn_up");
      place_gate_up(stored, canonical);
    }
  }
  return stored;
}

}  // namespace

std::vector<std::string> gguf_anchors(const Graph&) {
  return {"token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight"};
}

Stored locate_gguf(const Tensor& canonical, const Graph& graph, const StoredNames& names) {
  const BlockName name = parse_block_name(canonical.name);
  Stored stored = locate_untiled(canonical, name, graph, names);
  const DeltaSizes& sizes = graph.delta;
  if (is_qwen3_5(architecture(names)) && sizes.key_heads > 0 &&
      name.module.starts_with("linear_attn")) {
    tile_value_heads(stored, canonical, sizes);
  }
  return stored;
}

}  // namespace initrt
