// Graph x precision -> layout -> chunks. A unit's canonical bytes do not depend on the world size;
// the cut gives each rank its block of rows of every parameter, as FSDP2's Shard(0) does.
#pragma once

#include <cstdint>
#include <vector>

#include "sharding/graph.h"
#include "sharding/precision.h"
#include "sharding/row_blocks.h"
#include "sharding/weight_format.h"

namespace initrt {

/// Every parameter starts at a multiple of this many bytes, in its unit and in every chunk.
inline constexpr std::uint64_t kParamAlignment = 256;

struct ParamPlace {
  std::uint64_t offset = 0;  ///< bytes from the start of the unit
  std::uint64_t rows = 0, row_bytes = 0;
  WeightFormat format = WeightFormat::Plain;
  std::uint64_t scales_offset = 0;    ///< of the first row of scales, behind all rows of codes
  std::uint64_t scale_row_bytes = 0;  ///< 0: none, or inside
  /// Used row by row of the activations (norms, position tables, convolutions), not as rows of a
  /// product: ranks that leave weights where they are need it whole. Such parameters are small.
  bool replicated = false;

  /// Of the rows, without scales.
  [[nodiscard]] std::uint64_t bytes() const { return rows * row_bytes; }
};

struct UnitLayout {
  std::vector<ParamPlace> params;  ///< as in Unit::params
  std::uint64_t bytes = 0;         ///< end of the last parameter
};

/// What weights are held in.
struct Holding {
  std::vector<WeightFormat> formats;  ///< as Graph::tensors; empty: all plain
  float outlier_threshold = 0.0f;     ///< LinearWeights::outlier_threshold
};

/// Where each parameter lies in its unit. Bytes between parameters are zero.
struct Layout {
  DType dtype = DType::F32;  ///< of what is not quantized
  float outlier_threshold = 0.0f;
  std::vector<UnitLayout> units;

  /// @throws Error where the sum overflows.
  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] WeightFormats formats() const;
};

/// @throws Error where a unit's size overflows.
[[nodiscard]] Layout make_layout(const Graph& graph, const Precision& precision,
                                 const Holding& holding = {});

/// Where a parameter's rows lie in each rank's chunk.
struct ParamCut {
  std::uint64_t offset = 0;      ///< bytes from the start of the chunk
  std::uint64_t block_rows = 0;  ///< ceil(rows / world): the last ranks hold fewer, or none
  std::uint64_t scales_offset = 0;
};

struct UnitCut {
  std::vector<ParamCut> params;         ///< as in Unit::params
  std::uint64_t replicated_bytes = 0;   ///< the chunk begins with its replicated parameters
  std::uint64_t replicated_offset = 0;  ///< of all ranks' among those of all units
  std::uint64_t chunk_bytes = 0;
  std::uint64_t offset = 0;  ///< in every rank's shard: of its chunk, or of the whole unit
  bool resident = false;     ///< kept whole on every rank, each chunk in its place
};

struct RowRange {
  std::uint64_t first = 0, count = 0;
};

/// A layout cut for a world size: rank r owns rows [r, r + 1) x ceil(rows / world) of each
/// parameter, torch's own rule, so that its rows are those of a DTensor with Shard(0). A chunk is
/// these, each parameter's at an aligned offset, and has the same size and places on all ranks.
/// A rank's shard memory is its chunks of the units that are gathered on demand, in order, and
/// behind them the resident units, whole.
struct Cut {
  std::uint32_t world = 1;
  std::vector<UnitCut> units;
  std::uint64_t chunks_bytes = 0;      ///< the first part: chunks of units gathered on demand
  std::uint64_t resident_bytes = 0;    ///< the second part: resident units, whole
  std::uint64_t replicated_bytes = 0;  ///< all ranks' replicated parameters of all units

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

  /// The rows that rank `rank` owns of a parameter. @param rows of the whole parameter
  [[nodiscard]] RowRange rows_of(std::uint32_t unit, std::size_t param, std::uint64_t rows,
                                 std::uint32_t rank) const;
  /// A parameter of a unit that lies whole somewhere.
  [[nodiscard]] RowBlocks blocks(std::uint32_t unit, std::size_t param, WholeUnit whole) const {
    const ParamCut& placed = units[unit].params[param];
    return {whole.base + placed.offset, placed.block_rows, whole.stride};
  }
  /// Its scales, where it has any beside it.
  [[nodiscard]] RowBlocks scales(std::uint32_t unit, std::size_t param, WholeUnit whole) const {
    const ParamCut& placed = units[unit].params[param];
    return {whole.base + placed.scales_offset, placed.block_rows, whole.stride};
  }
};

/// @param resident as Graph::units, or empty for none
/// @throws Error for world = 0 and for sizes that overflow.
[[nodiscard]] Cut make_cut(const Layout& layout, std::uint32_t world,
                           const std::vector<bool>& resident = {});

}  // namespace initrt
