// Elements to and from float32, as functions without branches that the compiler turns into vector
// code for whichever instruction set their caller is compiled for. Every step is one correctly
// rounded float operation, so all instruction sets give the same bits.
//
// Block layouts are ggml's (ggml-common.h, `block_q4_0` and siblings); the order of operations is
// that of the gguf Python package's dequantize(), which tests/golden compares with bit by bit.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "sharding/dtype.h"
#include "sharding/element_map.h"

// Inlined without fail: a kernel's instruction set is that of the function they end up in.
#ifdef __CUDACC__
#define INITRT_INLINE __host__ __device__ __forceinline__
#else
#define INITRT_INLINE [[gnu::always_inline]] inline
#endif

namespace initrt::decode {

template <class T>
INITRT_INLINE T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

INITRT_INLINE std::uint32_t u8(const std::byte* from) { return static_cast<std::uint8_t>(*from); }

INITRT_INLINE float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

/// `yes` or `no`, by a mask: of a choice between float operations g++ makes a branch, and no vector
/// code, where the instruction set has no masked operations.
INITRT_INLINE std::uint32_t choose(bool condition, std::uint32_t yes, std::uint32_t no) {
  const std::uint32_t mask = 0u - static_cast<std::uint32_t>(condition);
  return (yes & mask) | (no & ~mask);
}

INITRT_INLINE float from_f16(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t magnitude = (half & 0x7fffu) << 13;
  const std::uint32_t normal = magnitude + (112u << 23);
  // A subnormal's bits under the exponent of 2^-14, less 2^-14, is its value, exactly.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(
      std::bit_cast<float>(magnitude + (113u << 23)) - std::bit_cast<float>(113u << 23));
  const std::uint32_t special = magnitude | 0x7f800000u;
  const std::uint32_t finite = choose(magnitude < 0x00800000u, subnormal, normal);
  return std::bit_cast<float>(choose(magnitude >= 0x0f800000u, special, finite) | sign);
}

/// The natural logarithm, in double: of m · 2^e, with m from sqrt(1/2) to sqrt(2), it is e ln 2 and
/// twice the area hyperbolic tangent of (m - 1) / (m + 1), whose series to the 15th power leaves
/// 1e-14.
INITRT_INLINE float log(float x) {
  const auto bits = std::bit_cast<std::uint64_t>(static_cast<double>(x));
  const std::int64_t exponent = static_cast<std::int64_t>(bits - 0x3fe6a09e667f3bcdu) >> 52;
  const auto m = std::bit_cast<double>(bits - (static_cast<std::uint64_t>(exponent) << 52));
  const double s = (m - 1) / (m + 1), square = s * s;
  double p = 1.0 / 15;
  p = p * square + 1.0 / 13;
  p = p * square + 1.0 / 11;
  p = p * square + 1.0 / 9;
  p = p * square + 1.0 / 7;
  p = p * square + 1.0 / 5;
  p = p * square + 1.0 / 3;
  p = p * square + 1.0;
  const double finite = static_cast<double>(exponent) * 0.69314718055994530942 + 2 * s * p;
  constexpr std::uint32_t kInfinity = 0x7f800000u, kNan = 0x7fc00000u;
  if (x == 0) return std::bit_cast<float>(kInfinity | 0x80000000u);
  if (!(x > 0)) return std::bit_cast<float>(kNan);
  return x == std::bit_cast<float>(kInfinity) ? x : static_cast<float>(finite);
}

INITRT_INLINE float mapped(const ElementMap& map, float x) {
  return map.log_of_negated ? log(-x) : x + map.add;
}

/// E4M3 without infinities (OCP FP8, "E4M3FN"): bias 7, S.1111.111 is NaN.
INITRT_INLINE float from_f8_e4m3(std::uint32_t bits) {
  const std::uint32_t magnitude = (bits & 0x7fu) << 20;
  const std::uint32_t normal = magnitude + (120u << 23);
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(
      std::bit_cast<float>(magnitude + (121u << 23)) - std::bit_cast<float>(121u << 23));
  const std::uint32_t finite = magnitude < 0x00800000u ? subnormal : normal;
  const std::uint32_t sign = (bits & 0x80u) << 24;
  return std::bit_cast<float>((magnitude == 0x07f00000u ? 0x7fc00000u : finite) | sign);
}

/// Eight bits without infinities or a negative zero, whose bits are the only NaN (Graphcore's and
/// AMD's FP8, arXiv:2206.02915): the bias is one more than of the type it is named after.
template <std::uint32_t kMantissaBits, std::uint32_t kBias>
INITRT_INLINE float from_f8_fnuz(std::uint32_t bits) {
  const std::uint32_t magnitude = (bits & 0x7fu) << (23 - kMantissaBits);
  const std::uint32_t normal = magnitude + ((127 - kBias) << 23);
  constexpr std::uint32_t kMin = (128 - kBias) << 23;
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(
      std::bit_cast<float>(magnitude + kMin) - std::bit_cast<float>(kMin));
  const std::uint32_t finite = magnitude < 0x00800000u ? subnormal : normal;
  const std::uint32_t sign = (bits & 0x80u) << 24;
  return std::bit_cast<float>((bits == 0x80u ? 0x7fc00000u : finite) | sign);
}

/// Rounds to nearest even; a NaN stays one (its quiet bit is set).
INITRT_INLINE std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<std::uint16_t>((nan ? bits | 0x00400000u : rounded) >> 16);
}

/// Rounds to nearest even, to infinity from 65520 on; a NaN stays one.
INITRT_INLINE std::uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
  // Adding 1/2, whose last bit is 2^-24, rounds to a multiple of the smallest subnormal half.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
      std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t finite = choose(magnitude < 0x38800000u, subnormal, normal);
  const std::uint32_t large = choose(magnitude >= 0x477ff000u, 0x7c00u, finite);
  const std::uint32_t nan = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  return static_cast<std::uint16_t>(choose(magnitude > 0x7f800000u, nan, large) |
                                    (bits >> 16 & 0x8000u));
}

/// Scale and minimum `i` of Q4_K and Q5_K: eight of each, six bits apiece, in 12 bytes.
struct ScaleMin {
  std::uint32_t scale, min;
};
INITRT_INLINE ScaleMin k_scale(const std::byte* scales, int i) {
  if (i < 4) return {u8(scales + i) & 63, u8(scales + i + 4) & 63};
  const std::uint32_t both = u8(scales + i + 4);
  return {(both & 15) | (u8(scales + i - 4) >> 6) << 4, both >> 4 | (u8(scales + i) >> 6) << 4};
}

/// 2^(exponent - 128): half of what an E8M0 scale is, the least two of them subnormal.
INITRT_INLINE float from_e8m0_half(std::uint32_t exponent) {
  return std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
}

INITRT_INLINE float signed_float(std::uint32_t value) {
  return static_cast<float>(static_cast<std::int32_t>(value));
}

/// Twice the value of an E2M1 code, which is whole. Magnitudes 0, 1, 2, 3, 4, 6, 8, 12 stand in a
/// register: of a table in memory there is no vector code.
INITRT_INLINE float twice_e2m1(std::uint32_t code) {
  const std::uint32_t magnitude = 0xc8643210u >> ((code & 7) * 4) & 15;
  const std::uint32_t negative = 0u - (code >> 3);
  return signed_float((magnitude ^ negative) - negative);
}

/// Of IQ4_NL's codes: -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113.
/// Four of the first and last eight are a word each, with 128 added.
INITRT_INLINE float iq4_value(std::uint32_t code) {
  const std::uint32_t low = choose((code & 4) != 0, 0x766a5d4fu, 0x3f2d1801u);
  const std::uint32_t high = choose((code & 4) != 0, 0xf1d9c5b5u, 0xa6998d81u);
  const std::uint32_t four = choose((code & 8) != 0, high, low);
  return signed_float((four >> ((code & 3) * 8) & 255) - 128);
}

/// Decodes one block of `Type` at `in` into block_elements floats at `out`.
template <DType Type>
INITRT_INLINE void block(const std::byte* in, float* out) {
  if constexpr (Type == DType::Q4_0 || Type == DType::Q4_1) {
    constexpr bool kMin = Type == DType::Q4_1;
    const float d = from_f16(load<std::uint16_t>(in));
    const float m = kMin ? from_f16(load<std::uint16_t>(in + 2)) : 0.0f;
    const std::byte* codes = in + (kMin ? 4 : 2);
    for (int j = 0; j < 16; ++j) {
      const std::uint32_t code = u8(codes + j);
      out[j] = kMin ? d * signed_float(code & 15) + m : d * signed_float((code & 15) - 8);
      out[j + 16] = kMin ? d * signed_float(code >> 4) + m : d * signed_float((code >> 4) - 8);
    }
  } else if constexpr (Type == DType::Q5_0 || Type == DType::Q5_1) {
    constexpr bool kMin = Type == DType::Q5_1;
    const float d = from_f16(load<std::uint16_t>(in));
    const float m = kMin ? from_f16(load<std::uint16_t>(in + 2)) : 0.0f;
    const std::byte* codes = in + (kMin ? 8 : 6);
    const auto high = load<std::uint32_t>(in + (kMin ? 4 : 2));
    for (int j = 0; j < 16; ++j) {
      const std::uint32_t low = (u8(codes + j) & 15) | (high >> j & 1) << 4;
      const std::uint32_t up = u8(codes + j) >> 4 | (high >> (j + 16) & 1) << 4;
      out[j] = kMin ? d * signed_float(low) + m : d * signed_float(low - 16);
      out[j + 16] = kMin ? d * signed_float(up) + m : d * signed_float(up - 16);
    }
  } else if constexpr (Type == DType::Q8_0) {
    const float d = from_f16(load<std::uint16_t>(in));
    for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(load<std::int8_t>(in + 2 + j));
  } else if constexpr (Type == DType::IQ4_NL) {
    const float d = from_f16(load<std::uint16_t>(in));
    for (int j = 0; j < 16; ++j) {
      out[j] = d * iq4_value(u8(in + 2 + j) & 15);
      out[j + 16] = d * iq4_value(u8(in + 2 + j) >> 4);
    }
  } else if constexpr (Type == DType::MXFP4) {
    const float half = from_e8m0_half(u8(in));
    for (int j = 0; j < 16; ++j) {
      out[j] = half * twice_e2m1(u8(in + 1 + j) & 15);
      out[j + 16] = half * twice_e2m1(u8(in + 1 + j) >> 4);
    }
  } else if constexpr (Type == DType::Q2_K) {
    // scales[16] (scale, min in four bits each), codes[64] of two bits, d, dmin
    const float d = from_f16(load<std::uint16_t>(in + 80));
    const float dmin = from_f16(load<std::uint16_t>(in + 82));
    for (int group = 0; group < 16; ++group) {
      const std::uint32_t scale = u8(in + group);
      const float dl = d * signed_float(scale & 15), ml = dmin * signed_float(scale >> 4);
      const std::byte* codes = in + 16 + group / 8 * 32 + group % 2 * 16;
      const int shift = group % 8 / 2 * 2;
      for (int j = 0; j < 16; ++j) {
        out[group * 16 + j] = dl * signed_float(u8(codes + j) >> shift & 3) - ml;
      }
    }
  } else if constexpr (Type == DType::Q3_K) {
    // high bits[32], codes[64] of two bits, scales[12] of six bits, d. A high bit of 0 takes off 4.
    const float d = from_f16(load<std::uint16_t>(in + 108));
    const std::byte* scales = in + 96;
    for (int group = 0; group < 16; ++group) {
      const std::uint32_t low = u8(scales + group % 8) >> (group / 8 * 4) & 15;
      const std::uint32_t high = u8(scales + 8 + group % 4) >> (group / 4 * 2) & 3;
      const float dl = d * signed_float((low | high << 4) - 32);
      const std::byte* codes = in + 32 + group / 8 * 32 + group % 2 * 16;
      const std::byte* mask = in + group % 2 * 16;
      const int shift = group % 8 / 2 * 2, bit = group / 2;
      for (int j = 0; j < 16; ++j) {
        const std::uint32_t code = u8(codes + j) >> shift & 3;
        const std::uint32_t off = (~u8(mask + j) >> bit & 1) << 2;
        out[group * 16 + j] = dl * signed_float(code - off);
      }
    }
  } else if constexpr (Type == DType::Q4_K || Type == DType::Q5_K) {
    // d, dmin, scales[12], (Q5_K: high bits[32],) codes[128] of four bits
    constexpr bool kFive = Type == DType::Q5_K;
    const float d = from_f16(load<std::uint16_t>(in));
    const float dmin = from_f16(load<std::uint16_t>(in + 2));
    for (int group = 0; group < 8; ++group) {
      const ScaleMin scale = k_scale(in + 4, group);
      const float dl = d * signed_float(scale.scale), ml = dmin * signed_float(scale.min);
      const std::byte* codes = in + (kFive ? 48 : 16) + group / 2 * 32;
      const int shift = group % 2 * 4;
      for (int j = 0; j < 32; ++j) {
        std::uint32_t code = u8(codes + j) >> shift & 15;
        if constexpr (kFive) code |= (u8(in + 16 + j) >> group & 1) << 4;
        out[group * 32 + j] = dl * signed_float(code) - ml;
      }
    }
  } else if constexpr (Type == DType::Q6_K) {
    // low codes[128] of four bits, high codes[64] of two, scales[16] (signed bytes), d
    const float d = from_f16(load<std::uint16_t>(in + 208));
    for (int group = 0; group < 8; ++group) {
      const float first = d * static_cast<float>(load<std::int8_t>(in + 192 + group * 2));
      const float second = d * static_cast<float>(load<std::int8_t>(in + 193 + group * 2));
      const std::byte* low = in + group / 4 * 64 + group % 2 * 32;
      const std::byte* high = in + 128 + group / 4 * 32;
      const int shift = group % 4 / 2 * 4, high_shift = group % 4 * 2;
      for (int j = 0; j < 32; ++j) {
        const std::uint32_t code = (u8(low + j) >> shift & 15) | (u8(high + j) >> high_shift & 3)
                                                                     << 4;
        out[group * 32 + j] = (j < 16 ? first : second) * signed_float(code - 32);
      }
    }
  } else if constexpr (Type == DType::F64) {
    *out = static_cast<float>(load<double>(in));
  } else if constexpr (Type == DType::F32) {
    *out = load<float>(in);
  } else if constexpr (Type == DType::F16) {
    *out = from_f16(load<std::uint16_t>(in));
  } else if constexpr (Type == DType::BF16) {
    *out = from_bf16(load<std::uint16_t>(in));
  } else if constexpr (Type == DType::F8_E4M3) {
    *out = from_f8_e4m3(u8(in));
  } else if constexpr (Type == DType::F8_E4M3FNUZ) {
    *out = from_f8_fnuz<3, 8>(u8(in));
  } else if constexpr (Type == DType::F8_E5M2FNUZ) {
    *out = from_f8_fnuz<2, 16>(u8(in));
  } else {
    static_assert(Type == DType::F8_E5M2);
    *out = from_f16(static_cast<std::uint16_t>(u8(in) << 8));  // the upper half of a half
  }
}

}  // namespace initrt::decode
