// Random numbers of the emulator: the same for the same seed (CUDA_EMULATOR_SEED).
#pragma once

#include <cstdint>

namespace cuda_emulator {

/// xorshift64*.
class Random {
 public:
  /// @param seed 0: below() is always 0
  Random(std::uint64_t seed, std::uint64_t stream)
      : state_(seed == 0 ? 0 : (seed * 0x9e3779b97f4a7c15u) ^ (stream * 0xbf58476d1ce4e5b9u)) {
    if (seed != 0 && state_ == 0) state_ = seed;
  }

  [[nodiscard]] bool on() const { return state_ != 0; }

  /// At least 0 and less than `bound`.
  std::uint64_t below(std::uint64_t bound) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return ((state_ * 0x2545f4914f6cdd1du) >> 33) % bound;
  }

 private:
  std::uint64_t state_;
};

}  // namespace cuda_emulator
