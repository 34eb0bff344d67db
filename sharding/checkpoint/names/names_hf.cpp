#include "sharding/checkpoint/names/names_hf.h"

#include <algorithm>
#include <array>

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

// Where a layer's experts are in one tensor, and which part of each one's rows a projection has.
struct AllExperts {
  std::string_view module, name;
  std::uint64_t part = 0, parts = 1;
};
constexpr std::string_view kGate = "mlp.experts.*.gate_proj", kUp = "mlp.experts.*.up_proj",
                           kDown = "mlp.experts.*.down_proj";
constexpr std::array kAllExperts = {
    // transformers 5, as its modules hold them: a state dict, or save_original_format=False.
    AllExperts{kGate, "mlp.experts.gate_up_proj", 0, 2},
    AllExperts{kUp, "mlp.experts.gate_up_proj", 1, 2},
    AllExperts{kDown, "mlp.experts.down_proj"},
    // mlx-lm.
    AllExperts{kGate, "mlp.switch_mlp.gate_proj.weight"},
    AllExperts{kUp, "mlp.switch_mlp.up_proj.weight"},
    AllExperts{kDown, "mlp.switch_mlp.down_proj.weight"},
    AllExperts{kGate, "block_sparse_moe.switch_mlp.gate_proj.weight"},
    AllExperts{kUp, "block_sparse_moe.switch_mlp.up_proj.weight"},
    AllExperts{kDown, "block_sparse_moe.switch_mlp.down_proj.weight"},
};

// Takes the place of what is not there in the family's own form: the router and the experts have
// canonical names in transformers 5, experts may be in one tensor, or apart where the family's are
// not. @param base what to leave out of names, as in locate_hf_base()
void try_other_experts(Stored& stored, const Tensor& canonical, const HfNames& family,
                       const StoredNames& names, std::string_view base) {
  if (names.empty()) return;
  const BlockName name = parse_block_name(canonical.name);
  if ((name.expert.empty() && name.module != "mlp.gate") || names.has_weight(stored.name)) return;
  for (const std::string& own : {canonical.name, hf_name(canonical.name, family)}) {
    std::string apart = without_prefix(own, base);
    if (!names.has_weight(apart)) continue;
    stored = Stored();
    stored.name = std::move(apart);
    return;
  }
  const std::string block = without_prefix("model.layers." + std::string(name.layer) + ".", base);
  for (const AllExperts& all : kAllExperts) {
    if (all.module != name.module) continue;
    const std::string together = block + std::string(all.name);
    const TensorEntry* const found = names.entry(together);
    if (found == nullptr) continue;
    stored = Stored();
    stored.name = together;
    place_expert(stored, canonical, *found, all.part, all.parts);
    return;
  }
}

// Whether two modules of a block are kept under one name.
bool is_fused(std::string_view module, std::string_view other, const HfNames& names) {
  const std::string_view name = find_pair(names.table.in_block, module);
  return !name.empty() && name == find_pair(names.table.in_block, other);
}

std::uint32_t expert_count(const Graph& graph) {
  for (const Unit& unit : graph.units) {
    if (unit.ops.empty()) continue;
    if (const auto* route = std::get_if<RouteOp>(&unit.ops.back())) return route->routing.experts;
  }
  return 0;
}

// What a block's tensor of all experts is called that holds one's projection.
std::string name_of_all(const BlockName& name, const HfNames& names, std::string_view base) {
  std::string block(names.table.block_prefix);
  if (block.empty()) block = "model.layers.";
  block.append(name.layer).append(".");
  const bool down = name.module.ends_with("down_proj");
  return without_prefix(std::move(block), base)
      .append(down ? names.down_of_all : names.gate_up_of_all);
}

// "model.layers.0.mlp.experts.3.gate_proj.weight" is a part of
// "model.layers.0.mlp.experts.gate_up_proj", and its bias one of "..._bias".
Stored locate_expert_of_all(const Tensor& canonical, const BlockName& name, const Graph& graph,
                            const StoredNames& names, std::string_view base) {
  Stored stored;
  stored.name = name_of_all(name, graph.hf_names, base);
  if (name.kind == "bias") stored.name += "_bias";
  const std::uint32_t experts = expert_count(graph);
  if (graph.hf_names.experts == ExpertsForm::Stacked) {
    place_stacked_expert(stored, canonical, experts);
  } else if (graph.hf_names.experts == ExpertsForm::Transposed) {
    place_transposed_expert(stored, canonical, experts);
  } else {
    const bool codes = names.find(stored.name) < 0 && names.has_weight(stored.name);
    place_interleaved_expert(stored, canonical, experts, codes);
  }
  return stored;
}

// The module that holds parts of attention, latent attention, a gated delta net or a state space;
// "" where it is the canonical one alone.
std::string_view place_mixer(Stored& stored, const Tensor& canonical, const Graph& graph) {
  if (graph.latent.rank > 0) return place_latent(stored, canonical, graph);
  if (graph.hf_names.gates_behind_queries) {
    const std::string_view module = place_gated_query(stored, canonical, graph);
    if (!module.empty()) return module;
  }
  if (const std::string_view module = place_delta(stored, canonical, graph, graph.hf_names.delta);
      !module.empty()) {
    return module;
  }
  return place_state_space(stored, canonical, graph);
}

// Whether a module is one of a gate and an up projection that are kept as one matrix.
bool is_half_of_gate_up(std::string_view module, const HfNames& names) {
  constexpr NamePair kHalves[] = {{"mlp.gate_proj", "mlp.up_proj"},
                                  {"mlp.shared_experts.gate_proj", "mlp.shared_experts.up_proj"}};
  return std::any_of(std::begin(kHalves), std::end(kHalves), [&](const NamePair& halves) {
    const auto& [gate, up] = halves;
    return (module == gate || module == up) && is_fused(gate, up, names);
  });
}

// Under the family's own names, fused and transposed as it has them.
Stored locate_own(const Tensor& canonical, const Graph& graph, const StoredNames& stored_names,
                  std::string_view base) {
  const HfNames& names = graph.hf_names;
  const BlockName name = parse_block_name(canonical.name);
  if (names.experts != ExpertsForm::Apart && !name.expert.empty()) {
    return locate_expert_of_all(canonical, name, graph, stored_names, base);
  }
  Stored stored;
  stored.name = without_prefix(hf_name(canonical.name, names), base);
  if (stored.name.find('*') != std::string::npos) stored.pieces = canonical.matrix_rows;
  stored.rotary_interleaved = names.rotary_interleaved;
  stored.transposed = names.transposed && !name.module.empty() && !canonical.vector;
  if (!name.expert.empty()) return stored;
  if (const std::string_view mixer = place_mixer(stored, canonical, graph); !mixer.empty()) {
    std::string whole = "model.layers." + std::string(name.layer) + ".";
    whole.append(mixer).append(".").append(name.kind);
    stored.name = without_prefix(hf_name(whole, names), base);
    return stored;
  }
  const QkvPart part = qkv_part(canonical.name);
  if (part != QkvPart::None && is_fused("self_attn.q_proj", "self_attn.k_proj", names)) {
    place_qkv(stored, part, names.qkv, graph);
  }
  if (is_half_of_gate_up(name.module, names)) place_gate_up(stored, canonical);
  return stored;
}

}  // namespace

std::vector<std::string> hf_anchors(const Graph& graph) {
  return {hf_name(kEmbedding, graph.hf_names), hf_name(kNorm, graph.hf_names)};
}

std::vector<std::string> hf_base_anchors(const Graph& graph) {
  return {without_prefix(hf_name(kEmbedding, graph.hf_names), graph.hf_names.base_prefix)};
}

Stored locate_hf(const Tensor& canonical, const Graph& graph, const StoredNames& stored_names) {
  Stored stored = locate_own(canonical, graph, stored_names, "");
  try_other_experts(stored, canonical, graph.hf_names, stored_names, "");
  return stored;
}

Stored locate_hf_base(const Tensor& canonical, const Graph& graph,
                      const StoredNames& stored_names) {
  const std::string_view base = graph.hf_names.base_prefix;
  Stored stored = locate_own(canonical, graph, stored_names, base);
  try_other_experts(stored, canonical, graph.hf_names, stored_names, base);
  return stored;
}

}  // namespace initrt
