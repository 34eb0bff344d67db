// One row to codes and scales, as functions that the compiler turns into vector code for whichever
// instruction set their caller is compiled for. Every step is one correctly rounded float
// operation, in the order of bitsandbytes' torch code, so all instruction sets give its bits.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "runtime/convert/decode.h"
#include "runtime/convert/four_bit.h"
#include "sharding/dtype.h"
#include "sharding/weight_format.h"

namespace initrt::quantize {

/// A float without its sign, as an integer, has the order of its magnitude; NaN is above infinity.
template <DType From>
using Magnitude = std::conditional_t<From == DType::F32, std::int32_t, std::int16_t>;
template <DType From>
inline constexpr std::uint64_t kBytes = sizeof(Magnitude<From>);
template <DType From>
inline constexpr Magnitude<From> kInfinity = From == DType::F32    ? 0x7f800000
                                             : From == DType::BF16 ? 0x7f80
                                                                   : 0x7c00;

template <DType From>
INITRT_INLINE Magnitude<From> magnitude(const std::byte* in) {
  constexpr Magnitude<From> kMask = std::numeric_limits<Magnitude<From>>::max();
  return static_cast<Magnitude<From>>(decode::load<Magnitude<From>>(in) & kMask);
}

template <DType From>
INITRT_INLINE Magnitude<From> largest_magnitude(const std::byte* in, std::uint64_t elements) {
  Magnitude<From> largest = 0;
  for (std::uint64_t i = 0; i < elements; ++i) {
    largest = std::max(largest, magnitude<From>(in + i * kBytes<From>));
  }
  return largest;
}

template <DType From>
INITRT_INLINE float to_float(const std::byte* in) {
  float value;
  decode::block<From>(in, &value);
  return value;
}

template <DType From>
INITRT_INLINE float to_float(Magnitude<From> magnitude) {
  std::array<std::byte, kBytes<From>> bytes;
  std::memcpy(bytes.data(), &magnitude, sizeof magnitude);
  return to_float<From>(bytes.data());
}

/// Rounds to nearest even, for magnitudes below 2^22: what was rounded off is below the last bit of
/// the sum, whose lowest byte is the integer's.
INITRT_INLINE std::byte rounded_byte(float value) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  return static_cast<std::byte>(std::bit_cast<std::uint32_t>(value + kShift) & 0xffu);
}

template <DType From>
INITRT_INLINE bool int8_row(const std::byte* __restrict in, std::uint64_t columns,
                            std::byte* __restrict codes, std::byte* __restrict scales) {
  const Magnitude<From> largest = largest_magnitude<From>(in, columns);
  if (largest >= kInfinity<From>) return false;
  const float absmax = to_float<From>(largest);
  std::memcpy(scales, &absmax, sizeof absmax);
  // Two roundings, where 127 / absmax would have one.
  const float scale = 127.0f * (1.0f / absmax);
  if (scale > std::numeric_limits<float>::max()) {
    std::memset(codes, 0, columns);
    return true;
  }
  for (std::uint64_t i = 0; i < columns; ++i) {
    codes[i] = rounded_byte(to_float<From>(in + i * kBytes<From>) * scale);
  }
  return true;
}

/// How a value between -1 and 1 finds its code: it begins with that of the least value and takes a
/// step at each bound that it is above.
struct FourBitSteps {
  std::uint32_t first;
  std::array<float, 15> bounds;         ///< half way between two values
  std::array<std::uint32_t, 15> steps;  ///< modulo 2^32
};

constexpr FourBitSteps make_steps(const std::array<float, 16>& values,
                                  const std::array<std::uint32_t, 16>& ascending) {
  FourBitSteps made{.first = ascending[0], .bounds = {}, .steps = {}};
  for (std::size_t i = 0; i < 15; ++i) {
    made.bounds[i] = (values[ascending[i]] + values[ascending[i + 1]]) / 2;
    made.steps[i] = ascending[i + 1] - ascending[i];
  }
  return made;
}

/// Fp4 has two codes for 0, and with them a bound at 0: what is above it and nearest to 0 has the
/// second.
template <WeightFormat Format>
inline constexpr FourBitSteps kSteps =
    Format == WeightFormat::Nf4
        ? make_steps(kNf4Values, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
        : make_steps(kFp4Values, {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3});

template <WeightFormat Format, std::size_t... I>
INITRT_INLINE std::uint32_t four_bit_code(float value, std::index_sequence<I...> /*all*/) {
  constexpr FourBitSteps kHere = kSteps<Format>;
  return (kHere.first + ... + (value > kHere.bounds[I] ? kHere.steps[I] : 0u));
}

/// Codes of one block's values, the first of two in the upper half of a byte.
template <WeightFormat Format>
INITRT_INLINE void pack_block(const float* values, std::byte* __restrict codes) {
  alignas(64) std::uint8_t apart[kFourBitBlock];
  for (std::uint64_t i = 0; i < kFourBitBlock; ++i) {
    apart[i] =
        static_cast<std::uint8_t>(four_bit_code<Format>(values[i], std::make_index_sequence<15>()));
  }
  for (std::uint64_t i = 0; i < kFourBitBlock / 2; ++i) {
    codes[i] = static_cast<std::byte>(apart[2 * i] << 4 | apart[2 * i + 1]);
  }
}

/// A largest magnitude that is smaller is taken for this one.
inline constexpr float kLeastAbsmax = 1e-38f;

/// A row's last block, where it is shorter: bitsandbytes divides there, and keeps the magnitude
/// that it divided by.
template <DType From, WeightFormat Format>
INITRT_INLINE bool short_block(const std::byte* in, std::uint64_t elements, std::byte* codes,
                               std::byte* scales) {
  const Magnitude<From> largest = largest_magnitude<From>(in, elements);
  if (largest >= kInfinity<From>) return false;
  const float absmax = std::max(to_float<From>(largest), kLeastAbsmax);
  alignas(64) float values[kFourBitBlock] = {};
  for (std::uint64_t i = 0; i < elements; ++i) {
    values[i] = to_float<From>(in + i * kBytes<From>) / absmax;
  }
  std::array<std::byte, kFourBitBlock / 2> packed;
  pack_block<Format>(values, packed.data());
  std::memcpy(codes, packed.data(), (elements + 1) / 2);
  std::memcpy(scales, &absmax, sizeof absmax);
  return true;
}

template <DType From, WeightFormat Format>
INITRT_INLINE bool four_bit_row(const std::byte* __restrict in, std::uint64_t columns,
                                std::byte* __restrict codes, std::byte* __restrict scales) {
  bool finite = true;
  for (; columns >= kFourBitBlock; columns -= kFourBitBlock) {
    const Magnitude<From> largest = largest_magnitude<From>(in, kFourBitBlock);
    finite &= largest < kInfinity<From>;
    const float absmax = to_float<From>(largest);
    const float scale = 1.0f / std::max(absmax, kLeastAbsmax);
    alignas(64) float values[kFourBitBlock];
    for (std::uint64_t i = 0; i < kFourBitBlock; ++i) {
      values[i] = to_float<From>(in + i * kBytes<From>) * scale;
    }
    pack_block<Format>(values, codes);
    std::memcpy(scales, &absmax, sizeof absmax);
    in += kFourBitBlock * kBytes<From>;
    codes += kFourBitBlock / 2;
    scales += sizeof absmax;
  }
  return finite && (columns == 0 || short_block<From, Format>(in, columns, codes, scales));
}

}  // namespace initrt::quantize
