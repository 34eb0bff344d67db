// Numbers for the tests of devices: random ones, and conversions written from the formats'
// definitions, in double, as reference.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "sharding/dtype.h"
#include "tests/support/sanitized.h"

namespace initrt::test {

/// The same numbers in every run.
class Random {
 public:
  std::vector<float> random(std::size_t count, float scale = 1.0f) {
    std::normal_distribution<float> normal(0.0f, scale);
    std::vector<float> values(count);
    for (float& value : values) value = normal(generator_);
    return values;
  }
  /// Among random numbers, those that functions take a turn at.
  std::vector<float> with_specials(std::size_t count, float scale = 3.0f) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr float kSpecial[] = {
        0.0f,   -0.0f,   kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(),
        1e-42f, -1e-42f, 65519.0f,  65520.0f,   88.8f,
        -88.8f, 104.0f,  -103.9f,   3e38f,      -3e38f,
        5.9e-8f};
    std::vector<float> values = random(count, scale);
    for (float& value : values) {
      if (below(4) == 0) value = kSpecial[below(std::size(kSpecial))];
    }
    return values;
  }
  /// Scores [4, experts] of routers: many equal ones, the same with NaNs, all NaN, all -infinity.
  std::vector<float> tied_scores(std::size_t experts) {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> scores(4 * experts);
    for (float& score : scores) score = static_cast<float>(below(3));
    for (std::size_t i = experts; i < 2 * experts; i += 3) scores[i] = kNan;
    for (std::size_t i = 2 * experts; i < 3 * experts; ++i) scores[i] = kNan;
    for (std::size_t i = 3 * experts; i < 4 * experts; ++i) {
      scores[i] = -std::numeric_limits<float>::infinity();
    }
    return scores;
  }
  std::vector<std::byte> random_bytes(std::size_t count) {
    std::vector<std::byte> bytes(count);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(generator_() & 0xff);
    return bytes;
  }
  std::size_t below(std::size_t limit) { return generator_() % limit; }

 private:
  std::mt19937 generator_{20240229};
};

/// Lengths around what kernels take at once: threads, neighbours, blocks.
inline constexpr std::size_t kLengths[] = {1, 3, 4, 8, 9, 31, 255, 1024, 2050, 5003};

/// The nearest number with `digits` bits of mantissa (the leading one counted) and exponents from
/// `lowest`, ties to even; infinite from `overflow` on.
inline double nearest(double x, int digits, int lowest, double overflow) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int last_place = std::max(std::ilogb(x), lowest) - (digits - 1);
  const double y = std::ldexp(std::nearbyint(std::ldexp(x, -last_place)), last_place);
  return std::abs(y) >= overflow ? std::copysign(std::numeric_limits<double>::infinity(), x) : y;
}

inline double rounded(double x, DType dtype) {
  if (dtype == DType::BF16) return nearest(x, 8, -126, 0x1p128);
  if (dtype == DType::F16) return nearest(x, 11, -14, 0x1p16);
  return x;
}

/// The bits of a number that `dtype` holds exactly.
inline std::uint16_t encode(double x, DType dtype) {
  if (dtype == DType::BF16) {
    return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(x)) >> 16);
  }
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const double magnitude = std::abs(x);
  if (std::isnan(x)) return sign | 0x7e00;
  if (std::isinf(x)) return sign | 0x7c00;
  if (magnitude < 0x1p-14) return sign | static_cast<std::uint16_t>(magnitude * 0x1p24);
  const int exponent = std::ilogb(magnitude);
  const auto mantissa = static_cast<std::uint16_t>(std::ldexp(magnitude, 10 - exponent));
  return static_cast<std::uint16_t>(sign | (((exponent + 15) << 10) + (mantissa - 0x400)));
}

inline double decode(std::uint16_t bits, DType dtype) {
  if (dtype == DType::BF16) return std::bit_cast<float>(std::uint32_t{bits} << 16);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 0x3ff;
  if (exponent == 31) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  return sign *
         (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 0x400, exponent - 25));
}

/// Rounds each value to `dtype`, in place, and returns the storage.
inline std::vector<std::byte> stored(std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes(bytes_of(dtype, values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(rounded(values[i], dtype));
    if (dtype == DType::F32) {
      std::memcpy(bytes.data() + i * 4, &values[i], 4);
    } else {
      const std::uint16_t bits = encode(values[i], dtype);
      std::memcpy(bytes.data() + i * 2, &bits, 2);
    }
  }
  return bytes;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline constexpr DType dtypes[] = {DType::F32, DType::BF16, DType::F16};

/// All of them, and under sanitizers one, another for each `turn`: of what is tried with each dtype
/// there, each is tried with one.
constexpr std::span<const DType> dtypes_in_turn([[maybe_unused]] std::size_t turn) {
#if defined(INITRT_SANITIZED)
  return std::span(dtypes).subspan(turn % std::size(dtypes), 1);
#else
  return dtypes;
#endif
}

/// Whether all numbers have the same bits, but for NaN, which are all the same.
inline bool same_numbers(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
  }
  return true;
}

inline std::vector<float> part(const std::vector<float>& values, std::size_t begin,
                               std::size_t count) {
  const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace initrt::test
