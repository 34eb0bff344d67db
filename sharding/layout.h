// Graph x precision -> flat layout -> chunks. A unit is one flat buffer whose bytes do not depend
// on the world size; the cut divides it into equal chunks, one per rank.
#pragma once

#include <cstdint>
#include <vector>

#include "sharding/graph.h"
#include "sharding/precision.h"

namespace initrt {

/// Every parameter starts at a multiple of this many bytes in its unit.
inline constexpr std::uint64_t kParamAlignment = 256;

struct ParamPlace {
  std::uint64_t offset = 0;  ///< bytes from the start of the unit
  std::uint64_t bytes = 0;
};

struct UnitLayout {
  std::vector<ParamPlace> params;  ///< as in Unit::params
  std::uint64_t bytes = 0;         ///< end of the last parameter
};

/// Where each parameter lies in its unit. Bytes between parameters are zero.
struct Layout {
  DType dtype = DType::F32;
  std::vector<UnitLayout> units;

  /// @throws Error where the sum overflows.
  [[nodiscard]] std::uint64_t bytes() const;
};

/// @throws Error where a unit's size overflows.
[[nodiscard]] Layout make_layout(const Graph& graph, const Precision& precision);

/// Chunk sizes a device can map. A chunk is a multiple of `huge` where that wastes at most 1/32 of
/// it (so that it can be backed by huge pages), else of `base`.
struct Granularity {
  std::uint64_t base = 4096;
  std::uint64_t huge = 2u << 20;
};

inline constexpr Granularity kHostGranularity{4096, 2u << 20};
inline constexpr Granularity kCudaGranularity{2u << 20, 2u << 20};

struct UnitCut {
  std::uint64_t chunk_bytes = 0;  ///< world x chunk_bytes >= unit bytes
  std::uint64_t offset = 0;       ///< in every rank's shard: of its chunk, or of the whole unit
  bool resident = false;          ///< kept whole on every rank, each chunk in its place
};

/// A layout cut for a world size: rank r owns bytes [r, r + 1) x chunk_bytes of each unit.
/// A rank's shard memory is its chunks of the units that are gathered on demand, in order, and
/// behind them the resident units, whole.
struct Cut {
  std::uint32_t world = 1;
  std::vector<UnitCut> units;
  std::uint64_t chunks_bytes = 0;    ///< the first part: chunks of units gathered on demand
  std::uint64_t resident_bytes = 0;  ///< the second part: resident units, whole

  /// Bytes of the whole gathered unit, padding included.
  [[nodiscard]] std::uint64_t gathered_bytes(std::uint32_t unit) const {
    return units[unit].chunk_bytes * world;
  }
  /// Where rank `rank`'s own chunk of a unit lies in its shard memory.
  [[nodiscard]] std::uint64_t chunk_offset(std::uint32_t unit, std::uint32_t rank) const {
    const UnitCut& placed = units[unit];
    return placed.offset + (placed.resident ? rank * placed.chunk_bytes : 0);
  }
  [[nodiscard]] std::uint64_t memory_bytes() const { return chunks_bytes + resident_bytes; }
};

/// @param resident as Graph::units, or empty for none
/// @throws Error for world = 0, a granularity that is not a power of two or is finer than
///         kParamAlignment (chunks must not cut an element), and for sizes that overflow.
[[nodiscard]] Cut make_cut(const Layout& layout, std::uint32_t world, Granularity granularity,
                           const std::vector<bool>& resident = {});

}  // namespace initrt
