// Where keys and values of each layer lie in the KV cache, and behind them the states of what reads
// a sequence row by row. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "sharding/dtype.h"
#include "sharding/graph.h"
#include "sharding/kv_tile.h"

namespace initrt {

/// One layer's: K [sequences, kv_heads, positions, head_size], behind it V, or no V where values
/// are a part of the keys.
struct KvPlace {
  std::uint64_t k = 0, v = 0;  ///< bytes from the cache's start
  bool has_values = true;
  std::uint32_t positions = 0;
  bool ring = false;  ///< position p lies at p % positions
};

/// One state's: [sequences, elements] float32.
struct StatePlace {
  std::uint64_t offset = 0;  ///< bytes from the cache's start
  std::uint64_t elements = 0;
};

struct KvLayout {
  std::vector<KvPlace> layers;
  std::vector<StatePlace> states;  ///< by StateId
  std::uint64_t bytes = 0;
};

/// A layer with a window keeps what rows of a sweep may still see, if that is less than the
/// context: the window, the rows themselves, and what else is in a window's first tile.
/// @param context positions of a sequence @param sweep_rows the most that a sweep brings
/// @throws Error where the size overflows
[[nodiscard]] KvLayout kv_layout(const Graph& graph, DType dtype, std::uint64_t sequences,
                                 std::uint64_t context, std::uint64_t sweep_rows);

}  // namespace initrt
