#include "sharding/checkpoint/names/names_lit.h"

#include <array>

#include "sharding/checkpoint/names/canonical_name.h"

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
    NamePair{"lm_head.weight", "lm_head.weight"},
};
constexpr std::array kLitGptInBlock = {
    NamePair{"input_layernorm", "norm_1"},     NamePair{"self_attn.q_proj", "attn.attn"},
    NamePair{"self_attn.k_proj", "attn.attn"}, NamePair{"self_attn.v_proj", "attn.attn"},
    NamePair{"self_attn.o_proj", "attn.proj"}, NamePair{"post_attention_layernorm", "norm_2"},
    NamePair{"mlp.gate_proj", "mlp.fc_1"},     NamePair{"mlp.up_proj", "mlp.fc_2"},
    NamePair{"mlp.down_proj", "mlp.proj"},
};

enum class Fused : std::uint8_t { No, Query, Key, Value };

Fused fused_part(std::string_view canonical) {
  const std::string_view module = parse_block_name(canonical).module;
  if (module == "self_attn.q_proj") return Fused::Query;
  if (module == "self_attn.k_proj") return Fused::Key;
  if (module == "self_attn.v_proj") return Fused::Value;
  return Fused::No;
}

// All of Q, then all of K, then all of V.
void place_stacked(Stored& stored, Fused part, const Graph& graph) {
  const std::uint64_t q = std::uint64_t{graph.heads} * graph.head_size;
  const std::uint64_t kv = std::uint64_t{graph.kv_heads} * graph.head_size;
  stored.rows = q + 2 * kv;
  if (part == Fused::Query) stored.spans = {{0, q, 0}};
  if (part == Fused::Key) stored.spans = {{0, kv, q}};
  if (part == Fused::Value) stored.spans = {{0, kv, q + kv}};
}

// For each KV head its query heads, itself, its value.
void place_by_group(Stored& stored, Fused part, const Graph& graph) {
  const std::uint64_t head = graph.head_size;
  const std::uint64_t queries = graph.heads / graph.kv_heads * head;
  const std::uint64_t group_rows = queries + 2 * head;
  const std::uint64_t rows = part == Fused::Query ? queries : head;
  const std::uint64_t offset =
      part == Fused::Query ? 0 : queries + (part == Fused::Value ? head : 0);
  stored.rows = graph.kv_heads * group_rows;
  for (std::uint64_t group = 0; group < graph.kv_heads; ++group) {
    stored.spans.push_back({group * rows, rows, group * group_rows + offset});
  }
}

}  // namespace

Stored locate_lit_llama(const Tensor& canonical, const Graph& graph, const Catalog&) {
  Stored stored;
  stored.name = translate({kLitLlamaGlobal, kBlockPrefix, kLitLlamaInBlock}, canonical.name);
  if (parse_block_name(canonical.name).module.ends_with("layernorm")) {
    stored.name = stored.name.substr(0, stored.name.rfind('.')) + ".scale";
  }
  stored.rotary_interleaved = true;
  if (const Fused part = fused_part(canonical.name); part != Fused::No) {
    place_stacked(stored, part, graph);
  }
  return stored;
}

Stored locate_lit_gpt(const Tensor& canonical, const Graph& graph, const Catalog&) {
  Stored stored;
  stored.name = translate({kLitGptGlobal, kBlockPrefix, kLitGptInBlock}, canonical.name);
  if (const Fused part = fused_part(canonical.name); part != Fused::No) {
    place_by_group(stored, part, graph);
  }
  return stored;
}

Stored locate_lit_gpt_stacked(const Tensor& canonical, const Graph& graph, const Catalog&) {
  constexpr std::string_view kGrouped = ".attn.attn.";
  Stored stored;
  stored.name = translate({kLitGptGlobal, kBlockPrefix, kLitGptInBlock}, canonical.name);
  if (const Fused part = fused_part(canonical.name); part != Fused::No) {
    stored.name.replace(stored.name.find(kGrouped), kGrouped.size(), ".attn.qkv.");
    place_stacked(stored, part, graph);
  }
  return stored;
}

}  // namespace initrt
