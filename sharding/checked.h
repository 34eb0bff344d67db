// Arithmetic of sizes, where a wrap at 2^64 would pass for a small number.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "sharding/error.h"

namespace initrt {

/// The sum. @throws Error naming `what` where it passes 64 bits.
[[nodiscard]] inline std::uint64_t checked_sum(std::string_view what,
                                               std::initializer_list<std::uint64_t> terms) {
  std::uint64_t sum = 0;
  for (const std::uint64_t term : terms) {
    if (__builtin_add_overflow(sum, term, &sum)) fail("{} takes 2^64 bytes or more", what);
  }
  return sum;
}

/// The product. @throws Error naming `what` where it passes 64 bits.
[[nodiscard]] inline std::uint64_t checked_product(std::string_view what,
                                                   std::initializer_list<std::uint64_t> factors) {
  std::uint64_t product = 1;
  for (const std::uint64_t factor : factors) {
    if (factor == 0) return 0;
  }
  for (const std::uint64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product)) {
      fail("{} takes 2^64 bytes or more", what);
    }
  }
  return product;
}

/// The quotient, rounded up.
[[nodiscard]] constexpr std::uint64_t divide_up(std::uint64_t value, std::uint64_t by) {
  return value / by + (value % by != 0 ? 1 : 0);
}

}  // namespace initrt
