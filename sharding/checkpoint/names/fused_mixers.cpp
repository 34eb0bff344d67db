// What gated delta nets and state spaces begin with: parts of one product, columns of one
// convolution.
#include "sharding/checkpoint/names/canonical_name.h"
#include "sharding/checkpoint/names/fused.h"

namespace initrt {
namespace {

// What lies before Q, K or V where they are behind one another.
std::uint64_t before_part(char part, const DeltaSizes& sizes) {
  return part == 'k' ? sizes.keys() : part == 'v' ? 2 * sizes.keys() : 0;
}

// Some columns of a convolution over `columns`, whose weights are stored [columns, 1, taps].
void place_taps(Stored& stored, std::uint32_t taps, std::uint64_t before, std::uint64_t columns) {
  stored.transposed = stored.stacked = true;
  stored.rows = taps;
  stored.columns = columns;
  stored.spans = {{0, taps, 0, before}};
  stored.shape = {columns, 1, taps};
}

// What lies before a part of a state space's first product: z, x, b, c and step.
std::uint64_t before_part(char part, const StateSpaceSizes& sizes) {
  switch (part) {
    case 'z':
      return 0;
    case 'x':
      return sizes.inner();
    case 'b':
      return 2 * sizes.inner();
    case 'c':
      return 2 * sizes.inner() + sizes.of_groups();
    default:
      return sizes.inner() + sizes.convolved();
  }
}

// @param part q, k, v, z, b or a
std::string_view place_delta_apart(Stored& stored, char part, const Tensor& canonical,
                                   const DeltaSizes& sizes) {
  if (part == 'z') return "linear_attn.in_proj_z";
  if (part == 'b') return "linear_attn.in_proj_b";
  if (part == 'a') return "linear_attn.in_proj_a";
  stored.rows = 2 * sizes.keys() + sizes.values();
  stored.spans = {{0, canonical.rows, before_part(part, sizes)}};
  return "linear_attn.in_proj_qkv";
}

std::string_view place_delta_by_head(Stored& stored, char part, const Tensor& canonical,
                                     const DeltaSizes& sizes) {
  const bool of_gates = part == 'b' || part == 'a';
  const std::uint64_t heads = sizes.key_heads, group = sizes.value_heads / heads;
  const std::uint64_t key = sizes.key_size, value = group * sizes.value_size;
  std::uint64_t before = 0;  // in each head's rows
  if (part == 'k') before = key;
  if (part == 'v') before = 2 * key;
  if (part == 'z') before = 2 * key + value;
  if (part == 'a') before = group;
  const std::uint64_t all = of_gates ? 2 * group : 2 * (key + value);
  const std::uint64_t rows = canonical.rows / heads;
  stored.rows = heads * all;
  for (std::uint64_t head = 0; head < heads; ++head) {
    stored.spans.push_back({head * rows, rows, head * all + before});
  }
  return of_gates ? "linear_attn.in_proj_ba" : "linear_attn.in_proj_qkvz";
}

}  // namespace

std::string_view place_delta(Stored& stored, const Tensor& canonical, const Graph& graph,
                             DeltaForm form) {
  constexpr std::string_view kPrefix = "linear_attn.";
  const std::string_view module = parse_block_name(canonical.name).module;
  if (graph.delta.key_heads == 0 || !module.starts_with(kPrefix)) return "";
  const std::string_view part = module.substr(kPrefix.size());
  if (part.ends_with("_conv")) {
    place_taps(stored, graph.delta.taps, before_part(part[0], graph.delta),
               2 * graph.delta.keys() + graph.delta.values());
    return "linear_attn.conv1d";
  }
  if (part.size() != 6 || !part.ends_with("_proj")) return "";  // of one letter
  return form == DeltaForm::Apart ? place_delta_apart(stored, part[0], canonical, graph.delta)
                                  : place_delta_by_head(stored, part[0], canonical, graph.delta);
}

std::string_view place_state_space(Stored& stored, const Tensor& canonical, const Graph& graph) {
  constexpr std::string_view kPrefix = "mamba.";
  const StateSpaceSizes& sizes = graph.state_space;
  const std::string_view module = parse_block_name(canonical.name).module;
  if (sizes.groups == 0 || !module.starts_with(kPrefix)) return "";
  const std::string_view part = module.substr(kPrefix.size());
  if (part.ends_with("_conv")) {
    const std::uint64_t before = before_part(part[0], sizes) - sizes.inner();
    if (canonical.vector) {
      stored.rows = sizes.convolved();
      stored.spans = {{0, canonical.rows, before}};
    } else {
      place_taps(stored, sizes.taps, before, sizes.convolved());
    }
    return "mamba.conv1d";
  }
  if (!part.ends_with("_proj") || part == "out_proj") return "";
  stored.rows = sizes.inner() + sizes.convolved() + sizes.heads;
  stored.spans = {{0, canonical.rows, before_part(part[0], sizes)}};
  return "mamba.in_proj";
}

void tile_value_heads(Stored& stored, const Tensor& canonical, const DeltaSizes& sizes) {
  const BlockName name = parse_block_name(canonical.name);
  const bool of_heads = name.module == "linear_attn";  // A_log and dt_bias
  const bool gates = name.module.ends_with(".a_proj") || name.module.ends_with(".b_proj");
  const bool columns = name.module.ends_with(".v_conv") || name.module.ends_with(".out_proj");
  const bool rows = name.module.ends_with(".v_proj") || name.module.ends_with(".z_proj");
  if (!of_heads && !gates && !columns && !rows) return;
  if (sizes.value_heads == sizes.key_heads) return;  // the same order
  const std::uint64_t size = of_heads || gates ? 1 : sizes.value_size;
  StoredRows whole;
  whole.rows = canonical.rows;
  if (!stored.spans.empty()) whole = stored.spans.front();
  stored.spans.clear();
  for (std::uint64_t head = 0; head < sizes.value_heads; ++head) {
    const std::uint64_t of_key_head = sizes.value_heads / sizes.key_heads;
    const std::uint64_t place = head % of_key_head * sizes.key_heads + head / of_key_head;
    StoredRows& span = stored.spans.emplace_back(whole);
    if (columns) {
      span.column = head * size;
      span.columns = size;
      span.stored_column += place * size;
    } else {
      span.row = head * size;
      span.rows = size;
      span.stored_row += place * size;
    }
  }
}

}  // namespace initrt
