// What coding scales takes while a unit is loaded: its scales as float32 until the ranks have told
// each other of theirs, since all scales of a matrix share an offset, and blocks of 256 of them,
// which do not end where a rank's rows do, a magnitude.
#pragma once

#include <cstdint>
#include <vector>

#include "sharding/graph.h"
#include "sharding/layout.h"

namespace initrt {

/// A parameter whose scales are codes.
struct CodedScales {
  std::size_t param = 0;  ///< of Unit::params
  std::uint64_t rows = 0, columns = 0;
  std::uint64_t row_scales = 0;  ///< of a row
  std::uint64_t block_rows = 0;  ///< ParamCut::block_rows
  /// Bytes from the unit's first: where a rank's rows of float32 begin, and where its rows of codes
  /// are made over them (code_scales()).
  std::uint64_t floats = 0, codes = 0;
  std::uint64_t message = 0;  ///< the same of a rank's message
  /// First scales, and as many last ones, that a rank tells others of, since their blocks are
  /// theirs too: 255, or all of its rows' where they are fewer; 0 where no block crosses ranks.
  std::uint64_t told = 0;

  [[nodiscard]] std::uint64_t first_row(std::uint32_t rank) const;
  /// The scales of a rank's rows, counted through the matrix.
  [[nodiscard]] std::uint64_t begin_of(std::uint32_t rank) const;
  [[nodiscard]] std::uint64_t end_of(std::uint32_t rank) const { return begin_of(rank + 1); }
};

/// The whole sum of a rank's scales of a parameter: 320 bits, of which the lowest counts 2^-149.
inline constexpr std::uint64_t kSumWords = 5;

/// What a unit takes; nothing where no scales are codes.
struct UnitScales {
  std::vector<CodedScales> params;
  std::uint64_t scale_bytes = 0;    ///< of a rank's scales of all of them
  std::uint64_t message_bytes = 0;  ///< of a rank's message: for each its sum and what is told
};
[[nodiscard]] UnitScales unit_scales(const Graph& graph, const Layout& layout, std::uint32_t unit,
                                     std::uint32_t world);

/// Memory for it: scales of two units, so that one is read while the ranks talk about the other,
/// this rank's message and all ranks' messages.
struct ScaleMemory {
  static constexpr std::uint64_t kSlots = 2;
  std::uint64_t slot_bytes = 0, message_bytes = 0;  ///< of the largest unit
  std::uint32_t world = 1;

  [[nodiscard]] std::uint64_t bytes() const {
    return kSlots * slot_bytes + (1 + std::uint64_t{world}) * message_bytes;
  }
};
[[nodiscard]] ScaleMemory scale_memory(const Graph& graph, const Layout& layout,
                                       std::uint32_t world);

}  // namespace initrt
