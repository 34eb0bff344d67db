// How many rows something holds for: where what a sweep costs either way crosses.
#pragma once

#include <cstdint>

#include "sharding/checked.h"

namespace initrt {

/// The last number of rows for which `holds(rows, own_rows)`, which it does up to there; own_rows
/// are the most of a rank where rows are shared out evenly. 0 where it never does.
template <class Holds>
[[nodiscard]] std::uint64_t last_rows(std::uint32_t world, Holds holds) {
  std::uint64_t below = 0, above = std::uint64_t{1} << 40;
  while (above - below > 1) {
    const std::uint64_t rows = below + (above - below) / 2;
    (holds(rows, divide_up(rows, world)) ? below : above) = rows;
  }
  return below;
}

}  // namespace initrt
