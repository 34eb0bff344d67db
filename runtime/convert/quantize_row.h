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

/// Half way between the values of a table, in ascending order.
constexpr std::array<float, 15> make_bounds(std::array<float, 16> values) {
  std::ranges::sort(values);
  std::array<float, 15> bounds{};
  for (std::size_t i = 0; i < 15; ++i) bounds[i] = (values[i] + values[i + 1]) / 2;
  return bounds;
}
template <WeightFormat Format>
inline constexpr std::array<float, 15> kBounds =
    make_bounds(Format == WeightFormat::Nf4 ? kNf4Values : kFp4Values);

/// How many bounds a value is above: a search by halves, whose choices are made by masks.
template <WeightFormat Format>
INITRT_INLINE std::uint32_t count_below(float value) {
  constexpr std::array<float, 15> b = kBounds<Format>;
  const bool eight = value > b[7];
  const bool four = value > (eight ? b[11] : b[3]);
  const float low2 = four ? b[5] : b[1], high2 = four ? b[13] : b[9];
  const bool two = value > (eight ? high2 : low2);
  const float low0 = two ? b[2] : b[0], low4 = two ? b[6] : b[4];
  const float high0 = two ? b[10] : b[8], high4 = two ? b[14] : b[12];
  const float low1 = four ? low4 : low0, high1 = four ? high4 : high0;
  const bool one = value > (eight ? high1 : low1);
  return (eight ? 8u : 0u) + (four ? 4u : 0u) + (two ? 2u : 0u) + (one ? 1u : 0u);
}

/// The code of a value between -1 and 1; the lower one half way between two.
template <WeightFormat Format>
INITRT_INLINE std::uint32_t four_bit_code(float value) {
  const std::uint32_t rank = count_below<Format>(value);
  if constexpr (Format == WeightFormat::Nf4) return rank;
  // Sign and rank of the magnitude; to its code, where 2/3 and 1 lie below 1/3 and 1/2, and these
  // below 1/6 and 1/4.
  const std::uint32_t by_magnitude = rank ^ (rank >= 8 ? 8u : 15u);
  const std::uint32_t code = by_magnitude ^ (by_magnitude & 2u) << 1;
  // Of the two zeros, in torch's order, what is above 0 has the one with a sign.
  return (code & 7u) == 0 ? code ^ 8u : code;
}

/// Codes of one block's values, the first of two in the upper half of a byte.
template <WeightFormat Format>
INITRT_INLINE void pack_block(const float* values, std::byte* __restrict codes) {
  // As wide as the values, so that a vector of values has one of codes.
  alignas(64) std::uint32_t apart[kFourBitBlock];
  for (std::uint64_t i = 0; i < kFourBitBlock; ++i) apart[i] = four_bit_code<Format>(values[i]);
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
  constexpr std::uint64_t kInBytes = kFourBitBlock * kBytes<From>;
  const std::uint64_t blocks = columns / kFourBitBlock;
  // All scales first: next to a block's codes, which wait for it, finding its scale costs 40% more.
  bool finite = true;
  for (std::uint64_t block = 0; block < blocks; ++block) {
    const Magnitude<From> largest = largest_magnitude<From>(in + block * kInBytes, kFourBitBlock);
    finite &= largest < kInfinity<From>;
    const float absmax = to_float<From>(largest);
    std::memcpy(scales + block * sizeof absmax, &absmax, sizeof absmax);
  }
  if (!finite) return false;
  for (std::uint64_t block = 0; block < blocks; ++block) {
    const auto absmax = decode::load<float>(scales + block * sizeof(float));
    const float scale = 1.0f / std::max(absmax, kLeastAbsmax);
    alignas(64) float values[kFourBitBlock];
    for (std::uint64_t i = 0; i < kFourBitBlock; ++i) {
      values[i] = to_float<From>(in + block * kInBytes + i * kBytes<From>) * scale;
    }
    pack_block<Format>(values, codes + block * kFourBitBlock / 2);
  }
  const std::uint64_t left = columns % kFourBitBlock;
  return left == 0 ||
         short_block<From, Format>(in + blocks * kInBytes, left, codes + blocks * kFourBitBlock / 2,
                                   scales + blocks * sizeof(float));
}

}  // namespace initrt::quantize
