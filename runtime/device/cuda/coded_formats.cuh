// Weights that are held as codes, decoded by the lanes of a warp: of a segment of 1024 elements of
// a row each lane has 32, the l-th the l-th, and makes them eight at a time. Layouts and the order
// of operations are those of runtime/convert/decode.h and quantize.h, so that every number has the
// bits that it has on CPUs.
//
// A format is a struct of
//   kBytes      of a segment
//   group()     what a lane's 32 elements have in common
//   eight<c>()  elements [8c, 8c + 8) of them
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>

#include "runtime/device/cuda/coded.h"
#include "runtime/device/cuda/elements.cuh"
#include "runtime/device/cuda/staged.cuh"

namespace initrt::cuda {

/// Elements of a lane's that are decoded at once.
struct Eight {
  float of[8];
};

/// Below 2^23, by putting it behind the exponent of 2^23: no conversion, of which GPUs do fewer.
__device__ __forceinline__ float small_float(std::uint32_t value) {
  return std::bit_cast<float>(0x4b000000u | value) - 8388608.0f;
}

/// Less `kOffset`, which is exact.
template <int kOffset>
__device__ __forceinline__ float small_float_less(std::uint32_t value) {
  return std::bit_cast<float>(0x4b000000u | value) - (8388608.0f + static_cast<float>(kOffset));
}

template <bool kAligned>
__device__ __forceinline__ float half_at(Staged from) {
  return decode::from_f16(static_cast<std::uint16_t>(words_at<1, kAligned>(from).of[0]));
}

/// Pairs rounded to a dtype, by the instruction that is there for it: to the same numbers as
/// Element<Type>::narrow(), though a NaN's bits may differ.
template <DType Type>
__device__ __forceinline__ void round_to(Eight& values) {
#pragma unroll
  for (int i = 0; i < 8; i += 2) {
#ifdef __CUDACC__
    if constexpr (Type == DType::BF16) {
      const float2 pair = __bfloat1622float2(__floats2bfloat162_rn(values.of[i], values.of[i + 1]));
      values.of[i] = pair.x;
      values.of[i + 1] = pair.y;
    }
    if constexpr (Type == DType::F16) {
      const float2 pair = __half22float2(__floats2half2_rn(values.of[i], values.of[i + 1]));
      values.of[i] = pair.x;
      values.of[i + 1] = pair.y;
    }
#else
    for (int k = i; k < i + 2; ++k) {
      values.of[k] = Element<Type>::widen(Element<Type>::narrow(values.of[k]));
    }
#endif
  }
}

/// What every lane needs of a row beside its codes.
struct RowScales {
  const std::byte* scales;  ///< of the row; null where they are inside
  std::uint32_t count;      ///< of them
  const float* table;       ///< what codes of four bits stand for, in shared memory
};

/// Scales of Nf4 and Fp4.
struct FloatScales {
  __device__ __forceinline__ static float at(const RowScales& row, std::uint32_t block) {
    return reinterpret_cast<const float*>(row.scales)[block];
  }
};

/// Nf4 and Fp4: the table makes the difference.
/// @tparam Scales how the scale of a row's block is found
template <class Scales>
struct FourBit {
  static constexpr int kBytes = kSegmentElements / 2;
  static constexpr bool kHasTable = true;

  Words<4> codes;
  const float* table;
  float scale;

  __device__ __forceinline__ static FourBit group(Staged segment, std::uint32_t index,
                                                  const RowScales& row) {
    const std::uint32_t lane = threadIdx.x % kWarp;
    const std::uint32_t block = (index * kWarp + lane) / 2;  // of 64 elements
    return {sixteen_at(segment.at(lane * 16)), row.table,
            block < row.count ? Scales::at(row, block) : 0.0f};
  }

  template <int kEight>
  __device__ __forceinline__ Eight eight() const {
    Eight values;
#pragma unroll
    for (int i = 0; i < 8; ++i) {  // the first of two is in a byte's upper half
      const int shift = i / 2 * 8 + (i % 2 == 0 ? 4 : 0);
      values.of[i] = table[codes.of[kEight] >> shift & 15] * scale;
    }
    return values;
  }
};

/// Blocks of 32: one for each lane.
template <DType Type>
struct Block32 {
  static constexpr bool kMin = Type == DType::Q4_1, kByte = Type == DType::Q8_0;
  static constexpr bool kAligned = Type == DType::Q4_1;
  static constexpr int kBlockBytes = kByte ? 34 : kMin ? 20 : 18;
  static constexpr int kBytes = kBlockBytes * static_cast<int>(kWarp);
  static constexpr bool kHasTable = false;

  Staged block;
  float d, m;

  __device__ __forceinline__ static Block32 group(Staged segment, std::uint32_t, const RowScales&) {
    const Staged block = segment.at(threadIdx.x % kWarp * kBlockBytes);
    float m = 0.0f;
    if constexpr (kMin) m = decode::from_f16(upper_half(words_at<1, kAligned>(block).of[0]));
    return {block, half_at<kAligned>(block), m};
  }

  template <int kEight>
  __device__ __forceinline__ Eight eight() const {
    Eight values;
    if constexpr (kByte) {
      const auto codes = words_at<2, kAligned>(block.at(2 + kEight * 8));
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        values.of[i] = d * small_float_less<128>(codes.byte(i) ^ 128u);
      }
    } else {  // lower halves of 16 bytes, then upper ones
      const auto codes = words_at<2, kAligned>(block.at((kMin ? 4 : 2) + kEight % 2 * 8));
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const std::uint32_t code = codes.of[i / 4] >> (i % 4 * 8 + kEight / 2 * 4) & 15;
        if constexpr (kMin) {
          values.of[i] = d * small_float(code) + m;
        } else {
          values.of[i] = d * small_float_less<8>(code);
        }
      }
    }
    return values;
  }

 private:
  __device__ __forceinline__ static std::uint16_t upper_half(std::uint32_t word) {
    return static_cast<std::uint16_t>(word >> 16);
  }
};

/// Q4_K and Q5_K: blocks of 256, whose eight groups of 32 have a scale and a minimum of six bits.
template <bool kFive>
struct BlockK {
  static constexpr int kBlockBytes = kFive ? 176 : 144;
  static constexpr int kBytes = kBlockBytes * 4;
  static constexpr bool kHasTable = false;

  Staged block;
  std::uint32_t number;  // of the group in its block
  float scale, min;

  __device__ __forceinline__ static BlockK group(Staged segment, std::uint32_t, const RowScales&) {
    const std::uint32_t lane = threadIdx.x % kWarp, number = lane % 8;
    const Staged block = segment.at(lane / 8 * kBlockBytes);
    const auto head = words_at<4, true>(block);  // d, dmin, twelve bytes of scales
    const float d = decode::from_f16(static_cast<std::uint16_t>(head.of[0]));
    const float dmin = decode::from_f16(static_cast<std::uint16_t>(head.of[0] >> 16));
    const std::uint32_t shift = number % 4 * 8;
    const std::uint32_t first = head.of[1] >> shift & 255, second = head.of[2] >> shift & 255;
    const std::uint32_t third = head.of[3] >> shift & 255;
    const bool low = number < 4;
    const std::uint32_t s = low ? first & 63 : (third & 15) | first >> 6 << 4;
    const std::uint32_t m = low ? second & 63 : third >> 4 | second >> 6 << 4;
    return {block, number, d * small_float(s), dmin * small_float(m)};
  }

  template <int kEight>
  __device__ __forceinline__ Eight eight() const {
    const auto codes =
        words_at<2, true>(block.at((kFive ? 48 : 16) + number / 2 * 32 + kEight * 8));
    const std::uint32_t shift = number % 2 * 4;
    Words<2> high{};
    if constexpr (kFive) high = words_at<2, true>(block.at(16 + kEight * 8));
    Eight values;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      std::uint32_t code = codes.of[i / 4] >> (i % 4 * 8 + shift) & 15;
      if constexpr (kFive) code |= (high.of[i / 4] >> (i % 4 * 8 + number) & 1) << 4;
      values.of[i] = scale * small_float(code) - min;
    }
    return values;
  }
};

/// Blocks of 256, whose sixteen groups of 16 have a scale each: a lane has two of them.
struct BlockQ6K {
  static constexpr int kBlockBytes = 210;
  static constexpr int kBytes = kBlockBytes * 4;
  static constexpr bool kHasTable = false;

  Staged low, high;
  std::uint32_t low_shift, high_shift;
  float first, second;

  __device__ __forceinline__ static BlockQ6K group(Staged segment, std::uint32_t,
                                                   const RowScales&) {
    const std::uint32_t lane = threadIdx.x % kWarp, number = lane % 8;
    const Staged block = segment.at(lane / 8 * kBlockBytes);
    const float d = half_at<false>(block.at(208));
    const std::uint32_t scales = words_at<1, false>(block.at(192 + number * 2)).of[0];
    return {block.at(number / 4 * 64 + number % 2 * 32),
            block.at(128 + number / 4 * 32),
            number % 4 / 2 * 4,
            number % 4 * 2,
            d * small_float_less<128>((scales & 255) ^ 128u),
            d * small_float_less<128>((scales >> 8 & 255) ^ 128u)};
  }

  template <int kEight>
  __device__ __forceinline__ Eight eight() const {
    const auto lows = words_at<2, false>(low.at(kEight * 8));
    const auto highs = words_at<2, false>(high.at(kEight * 8));
    Eight values;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const std::uint32_t code = (lows.of[i / 4] >> (i % 4 * 8 + low_shift) & 15) |
                                 (highs.of[i / 4] >> (i % 4 * 8 + high_shift) & 3) << 4;
      values.of[i] = (kEight < 2 ? first : second) * small_float_less<32>(code);
    }
    return values;
  }
};

}  // namespace initrt::cuda
