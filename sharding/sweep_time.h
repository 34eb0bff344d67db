// How long a sweep takes either way, from what it moves and what the machine can do. Pure; a model,
// not a measurement: bench/sharded_decode.py compares it with runs.
//
// A sweep of few rows reads weights once from memory, however many rows there are; one of many is
// bound by arithmetic. Where weights move, every rank reads all of them for its own rows; where
// rows move, its part of them for the rows of all ranks. The KV cache is left out.
#pragma once

#include <cstdint>

#include "sharding/row_moves.h"

namespace initrt {

/// What a rank can do; 0 where that is not known, and then it takes no time.
struct Speeds {
  double memory = 0;   ///< bytes a second that products read weights with
  double compute = 0;  ///< operations a second of products, an addition being one
  double link = 0;     ///< bytes a second that it receives from other ranks
  double latency = 0;  ///< seconds of an exchange of a few bytes between all ranks

  /// Whether sweeps can be compared by time.
  [[nodiscard]] bool of_moving() const { return link > 0; }
};

/// How weights come to a rank.
struct WeightPath {
  bool in_place = false;  ///< they do not: all ranks' are addressable
  bool overlaps = false;  ///< while products run, as far as that hides them: something else than
                          ///< the processor of the products moves them
};

/// Seconds of the rank that takes longest.
struct SweepTime {
  double products = 0;  ///< reading weights or arithmetic, whichever takes longer
  double moving = 0;
  bool overlaps = false;

  [[nodiscard]] double seconds() const;
};

/// @param rows of all ranks
/// @param own_rows the most of any rank
[[nodiscard]] SweepTime time_of_weights(const MoveCosts& costs, const Speeds& speeds,
                                        const WeightPath& path, std::uint64_t rows,
                                        std::uint64_t own_rows);
/// @param at_once of all ranks' rows, that go through products together: RunShape::moved_rows.
///        Weights are read, and ranks wait for one another, once for as many
[[nodiscard]] SweepTime time_of_rows(const MoveCosts& costs, const Speeds& speeds,
                                     std::uint64_t at_once, std::uint64_t rows,
                                     std::uint64_t own_rows);

/// The most rows, shared out evenly, of which a sweep takes no longer with rows moving.
[[nodiscard]] std::uint64_t rows_at_crossing(const MoveCosts& costs, const Speeds& speeds,
                                             const WeightPath& path, std::uint64_t at_once);

}  // namespace initrt
