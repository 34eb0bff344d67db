#include "sharding/checkpoint/names/names_hf.h"

#include "sharding/checkpoint/names/canonical_name.h"
#include "sharding/checkpoint/names/fused.h"

namespace initrt {
namespace {

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kNorm = "model.norm.weight";

std::string hf_name(std::string_view canonical, const HfNames& names) {
  std::string name = translate(names.table, canonical);
  return name.empty() ? std::string(canonical) : name;
}

std::string without_prefix(std::string name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  return name;
}

// Whether two modules of a block are kept under one name.
bool is_fused(std::string_view module, std::string_view other, const HfNames& names) {
  const std::string_view name = find_pair(names.table.in_block, module);
  return !name.empty() && name == find_pair(names.table.in_block, other);
}

}  // namespace

std::vector<std::string> hf_anchors(const Graph& graph) {
  return {hf_name(kEmbedding, graph.hf_names), hf_name(kNorm, graph.hf_names)};
}

std::vector<std::string> hf_base_anchors(const Graph& graph) {
  return {without_prefix(hf_name(kEmbedding, graph.hf_names), graph.hf_names.base_prefix)};
}

Stored locate_hf(const Tensor& canonical, const Graph& graph, const Catalog&) {
  const HfNames& names = graph.hf_names;
  Stored stored;
  stored.name = hf_name(canonical.name, names);
  const std::string module = parse_block_name(canonical.name).module;
  stored.transposed = names.transposed && !module.empty() && !canonical.vector;
  const QkvPart part = qkv_part(canonical.name);
  if (part != QkvPart::None && is_fused("self_attn.q_proj", "self_attn.k_proj", names)) {
    place_qkv(stored, part, names.qkv, graph);
  }
  const bool gate_or_up = module == "mlp.gate_proj" || module == "mlp.up_proj";
  if (gate_or_up && is_fused("mlp.gate_proj", "mlp.up_proj", names)) {
    place_gate_up(stored, canonical);
  }
  return stored;
}

Stored locate_hf_base(const Tensor& canonical, const Graph& graph, const Catalog& catalog) {
  Stored stored = locate_hf(canonical, graph, catalog);
  stored.name = without_prefix(std::move(stored.name), graph.hf_names.base_prefix);
  return stored;
}

}  // namespace initrt
