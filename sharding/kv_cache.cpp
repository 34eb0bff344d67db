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

}  // namespace

KvLayout kv_layout(const Graph& graph, DType dtype, std::uint64_t sequences, std::uint64_t context,
                   std::uint64_t sweep_rows) {
  KvLayout layout;
  layout.layers.resize(graph.layers);
  for (const Unit& unit : graph.units) {
    for (const Op& any : unit.ops) {
      const auto* const op = std::get_if<AttentionOp>(&any);
      if (op == nullptr) continue;
      KvPlace& place = layout.layers[op->layer];
      place.has_values = op->v.has_value();
      const std::uint64_t positions = positions_of(*op, context, sweep_rows);
      place.positions = static_cast<std::uint32_t>(positions);
      place.ring = positions < context;
      const auto bytes = [&](std::uint64_t size) {
        return bytes_of(dtype, checked_product(kWhat, {sequences, op->kv_heads, positions, size}));
      };
      place.k = layout.bytes;
      place.v = checked_sum(kWhat, {place.k, bytes(op->head_size)});
      layout.bytes =
          place.has_values ? checked_sum(kWhat, {place.v, bytes(op->value_size)}) : place.v;
    }
  }
  return layout;
}

}  // namespace initrt
