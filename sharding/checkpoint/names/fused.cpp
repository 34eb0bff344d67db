#include "sharding/checkpoint/names/fused.h"

#include <cstdlib>

#include "sharding/checkpoint/names/canonical_name.h"

namespace initrt {
namespace {

void place_stacked(Stored& stored, QkvPart part, const Graph& graph) {
  const std::uint64_t q = std::uint64_t{graph.heads} * graph.head_size;
  const std::uint64_t kv = std::uint64_t{graph.kv_heads} * graph.head_size;
  stored.rows = q + 2 * kv;
  if (part == QkvPart::Query) stored.spans = {{0, q, 0}};
  if (part == QkvPart::Key) stored.spans = {{0, kv, q}};
  if (part == QkvPart::Value) stored.spans = {{0, kv, q + kv}};
}

void place_by_group(Stored& stored, QkvPart part, const Graph& graph) {
  const std::uint64_t head = graph.head_size;
  const std::uint64_t queries = graph.heads / graph.kv_heads * head;
  const std::uint64_t group_rows = queries + 2 * head;
  const std::uint64_t rows = part == QkvPart::Query ? queries : head;
  const std::uint64_t offset =
      part == QkvPart::Query ? 0 : queries + (part == QkvPart::Value ? head : 0);
  stored.rows = graph.kv_heads * group_rows;
  for (std::uint64_t group = 0; group < graph.kv_heads; ++group) {
    stored.spans.push_back({group * rows, rows, group * group_rows + offset});
  }
}

std::uint64_t expert_of(const Tensor& canonical) {
  const BlockName name = parse_block_name(canonical.name);
  return std::strtoull(std::string(name.expert).c_str(), nullptr, 10);
}

// Which rows of an expert's are a tensor's where gate and up projections are one: 0 of 2, 1 of 2,
// or 0 of 1 for the down projection.
struct ExpertPart {
  std::uint64_t part = 0, parts = 1;
};

ExpertPart expert_part(const Tensor& canonical) {
  const std::string_view module = parse_block_name(canonical.name).module;
  if (module.ends_with("down_proj")) return {0, 1};
  return {module.ends_with("up_proj") ? 1u : 0u, 2};
}

}  // namespace

QkvPart qkv_part(std::string_view canonical) {
  const std::string_view module = parse_block_name(canonical).module;
  if (module == "self_attn.q_proj") return QkvPart::Query;
  if (module == "self_attn.k_proj") return QkvPart::Key;
  if (module == "self_attn.v_proj") return QkvPart::Value;
  return QkvPart::None;
}

void place_qkv(Stored& stored, QkvPart part, QkvOrder order, const Graph& graph) {
  (order == QkvOrder::Stacked ? place_stacked : place_by_group)(stored, part, graph);
}

void place_expert(Stored& stored, const Tensor& canonical, const TensorEntry& all,
                  std::uint64_t part, std::uint64_t parts) {
  const std::uint64_t expert = expert_of(canonical);
  const std::uint64_t experts = all.shape.size() == (canonical.vector ? 2 : 3) ? all.shape[0] : 0;
  std::uint64_t rows = 0;
  const bool fits = !__builtin_mul_overflow(canonical.rows, parts, &rows) &&
                    !__builtin_mul_overflow(experts, rows, &stored.rows);
  stored.stacked = fits && expert < experts;
  if (!stored.stacked) {  // shapes will disagree
    stored.rows = rows;
    return;
  }
  stored.spans = {{0, canonical.rows, expert * rows + part * canonical.rows}};
}

void place_stacked_expert(Stored& stored, const Tensor& canonical, std::uint32_t experts) {
  const auto [part, parts] = expert_part(canonical);
  const std::uint64_t rows = parts * canonical.rows;  // products fit, as below
  stored.stacked = true;
  stored.rows = experts * rows;
  stored.spans = {{0, canonical.rows, expert_of(canonical) * rows + part * canonical.rows}};
  stored.shape = {experts, rows, canonical.columns};
}

void place_transposed_expert(Stored& stored, const Tensor& canonical, std::uint32_t experts) {
  const auto [part, parts] = expert_part(canonical);
  stored.stacked = stored.transposed = true;
  stored.rows = parts * canonical.rows;  // products fit, as below
  stored.columns = experts * canonical.columns;
  stored.spans = {
      {0, canonical.rows, part * canonical.rows, expert_of(canonical) * canonical.columns}};
  stored.shape = {experts, canonical.columns, stored.rows};
}

void place_interleaved_expert(Stored& stored, const Tensor& canonical, std::uint32_t experts,
                              bool by_rows) {
  const auto [part, parts] = expert_part(canonical);
  const std::uint64_t expert = expert_of(canonical);
  // Products fit: a config's sizes are at most 2^20, and its experts 2^15.
  const std::uint64_t rows = parts * canonical.rows;
  stored.stacked = true;
  stored.row_step = parts;
  if (canonical.vector || by_rows) {
    stored.rows = experts * rows;
    stored.spans = {{0, canonical.rows, expert * rows + part}};
    if (canonical.vector) stored.shape = {experts, rows};
    return;
  }
  stored.transposed = true;
  stored.rows = rows;
  stored.spans = {{0, canonical.rows, part, expert * canonical.columns}};
  stored.columns = experts * canonical.columns;
  stored.shape = {experts, canonical.columns, rows};
}

std::string_view place_latent(Stored& stored, const Tensor& canonical, const Graph& graph) {
  const LatentSizes& sizes = graph.latent;
  const std::string_view module = parse_block_name(canonical.name).module;
  // A head's rows, and what part of them this is.
  const auto of_heads = [&](std::uint64_t rows, std::uint64_t part, std::uint64_t first) {
    stored.rows = graph.heads * rows;
    for (std::uint64_t head = 0; head < graph.heads; ++head) {
      stored.spans.push_back({head * part, part, head * rows + first});
    }
  };
  if (module == "self_attn.q_nope_proj" || module == "self_attn.q_rope_proj") {
    const bool rotated = module.ends_with("q_rope_proj");
    of_heads(sizes.nope + sizes.rope, rotated ? sizes.rope : sizes.nope, rotated ? sizes.nope : 0);
    return sizes.query_rank > 0 ? "self_attn.q_b_proj" : "self_attn.q_proj";
  }
  if (module == "self_attn.kv_a_proj" || module == "self_attn.k_rope_proj") {
    stored.rows = sizes.rank + sizes.rope;
    stored.spans = {{0, canonical.rows, module.ends_with("k_rope_proj") ? sizes.rank : 0u}};
    return "self_attn.kv_a_proj_with_mqa";
  }
  if (module == "self_attn.v_b_proj") {
    of_heads(sizes.nope + sizes.value, sizes.value, sizes.nope);
    return "self_attn.kv_b_proj";
  }
  if (module != "self_attn.k_b_proj") return "";
  // Of each head transposed: queries are multiplied with what makes keys.
  stored.transposed = true;
  stored.rows = sizes.rank;
  stored.columns = std::uint64_t{graph.heads} * (sizes.nope + sizes.value);
  for (std::uint64_t head = 0; head < graph.heads; ++head) {
    stored.spans.push_back({head * sizes.rank, sizes.rank, 0, head * (sizes.nope + sizes.value)});
  }
  return "self_attn.kv_b_proj";
}

std::string_view place_gated_query(Stored& stored, const Tensor& canonical, const Graph& graph) {
  const std::string_view module = parse_block_name(canonical.name).module;
  const bool gate = module == "self_attn.gate_proj";
  if (!gate && module != "self_attn.q_proj") return "";
  const std::uint64_t size = graph.head_size;
  stored.rows = 2 * canonical.rows;
  for (std::uint64_t head = 0; head < graph.heads; ++head) {
    stored.spans.push_back({head * size, size, (2 * head + (gate ? 1 : 0)) * size});
  }
  return "self_attn.q_proj";
}

void place_gate_up(Stored& stored, const Tensor& canonical) {
  const bool up = parse_block_name(canonical.name).module.ends_with("up_proj");
  stored.rows = 2 * canonical.rows;
  stored.spans = {{0, canonical.rows, up ? canonical.rows : 0}};
}

}  // namespace initrt
