// The whole units of a model as its ranks load them: what must not depend on anything but the
// weights and the precision.
#pragma once

#include <cstddef>
#include <vector>

#include "tests/support/rank_model.h"

namespace initrt::testing {

using Units = std::vector<std::vector<std::byte>>;

/// Every whole unit, put together from the chunks of ranks that are threads. Bytes between and
/// behind the parameters are checked to be zero.
[[nodiscard]] Units units_of(const OpenModel& model, const Setting& setting);

/// Ranks that map each other's shards, or one by itself.
[[nodiscard]] Setting mapped_ranks(std::uint32_t world, Move move = Move::Weights);

/// What all ranks of a world read together. @param staging bytes of each rank's ring
[[nodiscard]] std::uint64_t bytes_read(const OpenModel& model, std::uint32_t world,
                                       std::uint64_t staging);

}  // namespace initrt::testing
