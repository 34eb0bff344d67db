// A unit's canonical bytes, from the chunks of all ranks.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "sharding/layout.h"

namespace initrt::testing {

/// @param gathered the ranks' chunks, one after the other; what no row takes of them is checked to
/// be zero
inline std::vector<std::byte> canonical_unit(const Layout& layout, const Cut& cut,
                                             std::uint32_t unit,
                                             std::span<const std::byte> gathered) {
  const UnitLayout& places = layout.units[unit];
  const std::uint64_t chunk_bytes = cut.units[unit].chunk_bytes;
  std::vector<std::byte> bytes(places.bytes);
  std::vector<std::byte> rest(gathered.begin(), gathered.end());
  const auto take = [&](std::uint64_t from, std::uint64_t to, std::uint64_t count) {
    if (count == 0) return;
    std::memcpy(bytes.data() + to, rest.data() + from, count);
    std::memset(rest.data() + from, 0, count);
  };
  for (std::size_t i = 0; i < places.params.size(); ++i) {
    const ParamPlace& place = places.params[i];
    const ParamCut& placed = cut.units[unit].params[i];
    for (std::uint32_t rank = 0; rank < cut.world; ++rank) {
      const auto [first, count] = cut.rows_of(unit, i, place.rows, rank);
      take(rank * chunk_bytes + placed.offset, place.offset + first * place.row_bytes,
           count * place.row_bytes);
      take(rank * chunk_bytes + placed.scales_offset,
           place.scales_offset + first * place.scale_row_bytes, count * place.scale_row_bytes);
    }
  }
  EXPECT_TRUE(std::ranges::all_of(rest, [](std::byte byte) { return byte == std::byte{0}; }))
      << "padding of unit " << unit;
  return bytes;
}

}  // namespace initrt::testing
