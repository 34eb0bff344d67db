// Conversions as the formats define them, slowly and in another way than the loader's: by the value
// of sign, exponent and mantissa in double precision, which holds every one of them exactly.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace initrt::testing {

/// An IEEE-like format: one sign bit, then exponent bits, then mantissa bits.
struct FloatFormat {
  int exponent_bits, mantissa_bits;

  [[nodiscard]] int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  [[nodiscard]] std::uint32_t sign_bit() const { return 1u << (exponent_bits + mantissa_bits); }
  [[nodiscard]] std::uint32_t exponent_ones() const { return (1u << exponent_bits) - 1; }
};

inline constexpr FloatFormat kF32{8, 23}, kBF16{8, 7}, kF16{5, 10}, kE5M2{5, 2};

/// The value of these bits.
inline double widen(std::uint32_t bits, FloatFormat format) {
  const double sign = (bits & format.sign_bit()) != 0 ? -1.0 : 1.0;
  const std::uint32_t mantissa = bits & ((1u << format.mantissa_bits) - 1);
  const std::uint32_t exponent = bits >> format.mantissa_bits & format.exponent_ones();
  if (exponent == format.exponent_ones()) {
    const double special = mantissa == 0 ? std::numeric_limits<double>::infinity()
                                         : std::numeric_limits<double>::quiet_NaN();
    return std::copysign(special, sign);
  }
  const double fraction = std::ldexp(mantissa, -format.mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - format.bias());
  return sign * std::ldexp(1.0 + fraction, static_cast<int>(exponent) - format.bias());
}

/// OCP's E4M3: no infinities, one NaN of each sign.
inline double widen_e4m3(std::uint32_t bits) {
  if ((bits & 0x7f) == 0x7f) {
    return std::copysign(std::numeric_limits<double>::quiet_NaN(), bits == 0x7f ? 1.0 : -1.0);
  }
  // With the largest exponent an ordinary one: an exponent of five bits never reaches its ones.
  const double sign = (bits & 0x80) != 0 ? -1.0 : 1.0;
  const int exponent = static_cast<int>(bits >> 3 & 15);
  const double fraction = (bits & 7) / 8.0;
  return sign * (exponent == 0 ? std::ldexp(fraction, -6) : std::ldexp(1 + fraction, exponent - 7));
}

/// An FP8 type whose negative zero is its NaN, and which has no infinities.
inline double widen_fnuz(std::uint32_t bits, int mantissa_bits, int bias) {
  if (bits == 0x80) return std::copysign(std::numeric_limits<double>::quiet_NaN(), -1.0);
  const double sign = (bits & 0x80) != 0 ? -1.0 : 1.0;
  const int exponent = static_cast<int>((bits & 0x7f) >> mantissa_bits);
  const double fraction = std::ldexp(bits & ((1u << mantissa_bits) - 1), -mantissa_bits);
  return sign * (exponent == 0 ? std::ldexp(fraction, 1 - bias)
                               : std::ldexp(1 + fraction, exponent - bias));
}

/// The nearest value's bits, ties to the even mantissa. NaN: any quiet NaN's bits.
inline std::uint32_t narrow(double value, FloatFormat format) {
  const std::uint32_t sign = std::signbit(value) ? format.sign_bit() : 0;
  const std::uint32_t infinity = format.exponent_ones() << format.mantissa_bits;
  if (std::isnan(value)) return sign | infinity | 1u << (format.mantissa_bits - 1);
  const double magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return sign | infinity;
  if (magnitude == 0) return sign;
  const int least = 1 - format.bias();
  const int exponent = std::max(std::ilogb(magnitude), least);
  // In units of the last place, rounded as the default rounding mode does: to nearest even.
  const double units = std::nearbyint(std::ldexp(magnitude, format.mantissa_bits - exponent));
  // Consecutive values have consecutive bits, across exponents too.
  const double one = std::ldexp(1.0, format.mantissa_bits);
  const std::uint64_t bits =
      static_cast<std::uint64_t>(exponent - least) * static_cast<std::uint64_t>(one) +
      static_cast<std::uint64_t>(units);
  return sign | static_cast<std::uint32_t>(std::min<std::uint64_t>(bits, infinity));
}

}  // namespace initrt::testing
