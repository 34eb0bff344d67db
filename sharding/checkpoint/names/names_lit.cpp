#include "sharding/checkpoint/names/names_lit.h"

#include <algorithm>
#include <array>

#include "sharding/checkpoint/names/canonical_name.h"
#include "sharding/checkpoint/names/fused.h"

namespace initrt {
namespace {

constexpr std::string_view kBlockPrefix = "transformer.h.";

constexpr std::array kLitLlamaGlobal = {
    NamePair{"model.embed_tokens.weight", "transformer.wte.weight"},
    NamePair{"model.norm.weight", "transformer.ln_f.scale"},
    NamePair{"lm_head.weight", "lm_head.weight"},
};
constexpr std::array kLitLlamaInBlock = {
    NamePair{"input_layernorm", "rms_1"},        NamePair{"self_attn.q_proj", "attn.c_attn"},
    NamePair{"self_attn.k_proj", "attn.c_attn"}, NamePair{"self_attn.v_proj", "attn.c_attn"},
    NamePair{"self_attn.o_proj", "attn.c_proj"}, NamePair{"post_attention_layernorm", "rms_2"},
    NamePair{"mlp.gate_proj", "mlp.c_fc1"},      NamePair{"mlp.up_proj", "mlp.c_fc2"},
    NamePair{"mlp.down_proj", "mlp.c_proj"},
};

constexpr std::array kLitGptGlobal = {
    NamePair{"model.embed_tokens.weight", "transformer.wte.weight"},
    NamePair{"model.norm.weight", "transformer.ln_f.weight"},
    NamePair{"model.norm.bias", "transformer.ln_f.bias"},
    NamePair{"lm_head.weight", "lm_head.weight"},
};
constexpr std::array kLitGptInBlock = {
    NamePair{"input_layernorm", "norm_1"},
    NamePair{"self_attn.q_proj", "attn.attn"},
    NamePair{"self_attn.k_proj", "attn.attn"},
    NamePair{"self_attn.v_proj", "attn.attn"},
    NamePair{"self_attn.o_proj", "attn.proj"},
    NamePair{"post_attention_layernorm", "norm_2"},
    NamePair{"mlp.gate_proj", "mlp.fc_1"},
    NamePair{"mlp.up_proj", "mlp.fc_2"},
    NamePair{"mlp.down_proj", "mlp.proj"},
    NamePair{"mlp.gate", "mlp.gate"},
    NamePair{"self_attn.q_norm", "attn.norm_q"},
    NamePair{"self_attn.k_norm", "attn.norm_k"},
    NamePair{"pre_feedforward_layernorm", "norm_2"},
    NamePair{"post_feedforward_layernorm", "post_mlp_norm"},
    NamePair{"mlp.experts.*.gate_proj", "mlp.experts.*.fc_1"},
    NamePair{"mlp.experts.*.up_proj", "mlp.experts.*.fc_2"},
    NamePair{"mlp.experts.*.down_proj", "mlp.experts.*.proj"},
};

// Whether blocks have a canonical module, as the first of them.
bool has_module(const Graph& graph, std::string_view module) {
  const auto block = std::find_if(graph.units.begin(), graph.units.end(), [](const Unit& unit) {
    return unit.kind == UnitKind::Block && unit.params.size() > 1;
  });
  return block != graph.units.end() &&
         std::any_of(block->params.begin(), block->params.end(), [&](const Param& param) {
           return parse_block_name(graph.tensor_of(param).name).module == module;
         });
}

// A name of Lit-GPT's, which depends on what else the blocks have.
std::string lit_gpt_name(std::string_view canonical, const Graph& graph) {
  std::string name = translate({kLitGptGlobal, kBlockPrefix, kLitGptInBlock}, canonical);
  const std::string_view module = parse_block_name(canonical).module;
  const auto replace = [&](std::string_view from, std::string_view to) {
    name.replace(name.find(from), from.size(), to);
  };
  if (module == "mlp.up_proj" && !has_module(graph, "mlp.gate_proj")) replace("fc_2", "fc");
  if (module == "post_attention_layernorm" && has_module(graph, "post_feedforward_layernorm")) {
    replace("norm_2", "post_attention_norm");
  }
  return name;
}

}  // namespace

std::vector<std::string> lit_llama_anchors(const Graph&) { return {"transformer.h.0.rms_1.scale"}; }

std::vector<std::string> lit_gpt_anchors(const Graph&) {
  return {"transformer.h.0.attn.attn.weight"};
}

std::vector<std::string> lit_gpt_stacked_anchors(const Graph&) {
  return {"transformer.h.0.attn.qkv.weight"};
}

Stored locate_lit_llama(const Tensor& canonical, const Graph& graph, const StoredNames&) {
  Stored stored;
  stored.name = translate({kLitLlamaGlobal, kBlockPrefix, kLitLlamaInBlock}, canonical.name);
  if (parse_block_name(canonical.name).module.ends_with("layernorm")) {
    stored.name = stored.name.substr(0, stored.name.rfind('.')) + ".scale";
  }
  stored.rotary_interleaved = true;
  if (const QkvPart part = qkv_part(canonical.name); part != QkvPart::None) {
    place_qkv(stored, part, QkvOrder::Stacked, graph);
  }
  return stored;
}

Stored locate_lit_gpt(const Tensor& canonical, const Graph& graph, const StoredNames&) {
  Stored stored;
  stored.name = lit_gpt_name(canonical.name, graph);
  if (const QkvPart part = qkv_part(canonical.name); part != QkvPart::None) {
    place_qkv(stored, part, QkvOrder::ByGroup, graph);
  }
  return stored;
}

Stored locate_lit_gpt_stacked(const Tensor& canonical, const Graph& graph, const StoredNames&) {
  constexpr std::string_view kGrouped = ".attn.attn.";
  Stored stored;
  stored.name = lit_gpt_name(canonical.name, graph);
  if (const QkvPart part = qkv_part(canonical.name); part != QkvPart::None) {
    stored.name.replace(stored.name.find(kGrouped), kGrouped.size(), ".attn.qkv.");
    place_qkv(stored, part, QkvOrder::Stacked, graph);
  }
  return stored;
}

}  // namespace initrt
