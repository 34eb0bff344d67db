#include "sharding/kv_cache.h"

#include <algorithm>

#include "sharding/checked.h"

namespace initrt {
namespace {

constexpr const char* kWhat = "the KV cache";

// Positions that a layer has room for: all of the context, or fewer in a ring.
std::uint64_t positions_of(const AttentionOp& op, std::uint64_t context, std::uint64_t sweep_rows) {
  if (op.window == 0) return context;
  // A row sees window - 1 positions before it, of which the first may be a tile's last.
  const std::uint64_t seen = checked_sum(kWhat, {op.window - 1ull, kKvTile - 1ull, sweep_rows});
  return std::min(context,
                  checked_product(kWhat, {divide_up(seen, kKvTile), std::uint64_t{kKvTile}}));
}

void place_keys(const AttentionOp& op, DType dtype, std::uint64_t sequences, std::uint64_t context,
                std::uint64_t sweep_rows, KvLayout& layout) {
  KvPlace& place = layout.layers[op.layer];
  place.has_values = op.v.has_value();
  const std::uint64_t positions = positions_of(op, context, sweep_rows);
  place.positions = static_cast<std::uint32_t>(positions);
  place.ring = positions < context;
  const auto bytes = [&](std::uint64_t size) {
    return bytes_of(dtype, checked_product(kWhat, {sequences, op.kv_heads, positions, size}));
  };
  place.k = layout.bytes;
  place.v = checked_sum(kWhat, {place.k, bytes(op.head_size)});
  layout.bytes = place.has_values ? checked_sum(kWhat, {place.v, bytes(op.value_size)}) : place.v;
}

void place_state(StateId id, std::uint64_t elements, std::uint64_t sequences, KvLayout& layout) {
  constexpr std::uint64_t kAlignment = 64;
  StatePlace& place = layout.states[id];
  place.elements = elements;
  place.offset = checked_sum(kWhat, {layout.bytes, kAlignment - 1}) / kAlignment * kAlignment;
  layout.bytes = checked_sum(
      kWhat, {place.offset, checked_product(kWhat, {sequences, elements, sizeof(float)})});
}

}  // namespace

KvLayout kv_layout(const Graph& graph, DType dtype, std::uint64_t sequences, std::uint64_t context,
                   std::uint64_t sweep_rows) {
  KvLayout layout;
  layout.layers.resize(graph.layers);
  layout.states.resize(graph.states);
  for (const Unit& unit : graph.units) {
    if (unit.kind == UnitKind::Expert) continue;  // a model may have many, which keep nothing
    for (const Op& op : unit.ops) {
      if (const auto* attention = std::get_if<AttentionOp>(&op)) {
        if (!attention->k) continue;
        place_keys(*attention, dtype, sequences, context, sweep_rows, layout);
      } else if (const auto* convolution = std::get_if<ConvolutionOp>(&op)) {
        const std::uint64_t taps = unit.params[convolution->weight].rows;
        place_state(convolution->state, (taps - 1) * graph.activations[convolution->x].columns,
                    sequences, layout);
      } else if (const auto* delta = std::get_if<DeltaOp>(&op)) {
        place_state(
            delta->state,
            checked_product(kWhat, {delta->value_heads, delta->key_size, delta->value_size}),
            sequences, layout);
      } else if (const auto* space = std::get_if<StateSpaceOp>(&op)) {
        place_state(space->state,
                    checked_product(kWhat, {space->heads, space->state_size, space->head_size}),
                    sequences, layout);
      }
    }
  }
  return layout;
}

}  // namespace initrt
