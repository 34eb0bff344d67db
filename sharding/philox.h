// Philox4x32-10, the counter-based random generator of Salmon, Moraes, Dror and Shaw, "Parallel
// random numbers: as easy as 1, 2, 3" (SC 2011): a keyed function of a counter, without a state,
// so the n-th number is there without the ones before it.
#pragma once

#include <array>
#include <cstdint>

namespace initrt {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

/// 128 random bits for this counter under this key.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox4x32(PhiloxCounter counter,
                                                                PhiloxKey key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr PhiloxKey kKeyStep = {0x9E3779B9, 0xBB67AE85};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    const auto high = [](std::uint64_t product) {
      return static_cast<std::uint32_t>(product >> 32);
    };
    counter = {high(product1) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               high(product0) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += kKeyStep[0];
    key[1] += kKeyStep[1];
  }
  return counter;
}

/// The same with 64-bit numbers, low words first: key (seed), counter (low, high).
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox4x32(std::uint64_t seed,
                                                                std::uint64_t low,
                                                                std::uint64_t high) {
  const auto word = [](std::uint64_t value, int index) {
    return static_cast<std::uint32_t>(value >> (32 * index));
  };
  return philox4x32(PhiloxCounter{word(low, 0), word(low, 1), word(high, 0), word(high, 1)},
                    PhiloxKey{word(seed, 0), word(seed, 1)});
}

}  // namespace initrt
