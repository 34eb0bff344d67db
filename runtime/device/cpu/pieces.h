// How an op is split over threads: in pieces of neighbouring elements, rows or blocks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/device/cpu/thread_pool.h"

namespace initrt::cpu {

/// Elements below which an elementwise op is quicker on one thread than handed out.
inline constexpr std::uint64_t kElementsPerPiece = 16384;

[[nodiscard]] inline std::uint64_t rows_per_piece(std::uint64_t columns) {
  return std::max<std::uint64_t>(kElementsPerPiece / std::max<std::uint64_t>(columns, 1), 1);
}

/// body(begin, end) over [0, total) in pieces of `piece`, or of more where they would be many.
template <class Body>
void for_pieces(ThreadPool& pool, std::uint64_t total, std::uint64_t piece, const Body& body) {
  constexpr std::uint64_t kMax = UINT32_MAX;
  piece = std::max(piece, total / kMax + 1);
  const auto count = static_cast<std::uint32_t>((total + piece - 1) / piece);
  pool.parallel_for(count, [&](std::uint32_t i) {
    const std::uint64_t begin = i * piece;
    body(begin, std::min(begin + piece, total));
  });
}

}  // namespace initrt::cpu
