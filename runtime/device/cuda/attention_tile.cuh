// What a warp does with a tile of keys and values for a few queries of one sequence and KV head.
// Each query's sums are taken in one order, over the head's elements and then over the tile's keys,
// whichever queries it shares the tile with: they share what is read, nothing that is added.
#pragma once

#include <cuda_runtime.h>

#include <bit>
#include <cstdint>
#include <limits>

#include "runtime/device/cuda/elements.cuh"
#include "runtime/device/cuda/functions.cuh"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {

/// Positions of a tile, anchored at position 0: two for each lane.
inline constexpr std::uint32_t kTile = 2 * kWarp;
/// A tile's keys pass through shared memory in slices of this many bytes of each key.
inline constexpr std::uint32_t kSliceBytes = 32;
inline constexpr std::uint32_t kQueriesAtMost = 8;

/// What queries are weighed with in sums that leave out what they do not see: not even with weight
/// 0 may it count, since it may be infinite.
inline constexpr float kUnseen = -1.0f;

/// Shared memory of one warp: a slice of keys, or each query's weights of the keys.
union WarpMemory {
  uint4 keys[kTile * kSliceBytes / 16];
  float weights[kQueriesAtMost][kTile];
};

/// Keys or values of one sequence and KV head: lines of `head_size` elements of the type `Type_`.
/// @tparam kAligned_ lines can be read 16 bytes at a time, and are a multiple of what a lane sums
template <DType Type_, bool kAligned_>
struct KvLines {
  static constexpr DType Type = Type_;
  static constexpr bool kAligned = kAligned_;
  using Stored = typename Element<Type>::Stored;

  const Stored* first;
  std::uint32_t head_size;
  std::uint32_t positions;  ///< as KvView's: a tile is never cut by its ring's end

  __device__ const Stored* at(std::uint32_t position) const {
    return first + std::uint64_t{position % positions} * head_size;
  }

  /// `kCount` elements from `from` on, which are elements `element` and so on of a line; 0 behind
  /// its last, and where `there` is false.
  template <std::uint32_t kCount>
  __device__ __forceinline__ Several<Stored, kCount> load_if(bool there, const Stored* from,
                                                             std::uint32_t element) const {
    Several<Stored, kCount> values{};
    if constexpr (kAligned) {
      if (there && element < head_size) {
        values = *reinterpret_cast<const Several<Stored, kCount>*>(from);
      }
    } else {
#pragma unroll
      for (std::uint32_t i = 0; i < kCount; ++i) {
        if (there && element + i < head_size) values.of[i] = from[i];
      }
    }
    return values;
  }
};

/// Of some of one query's keys: the largest score, and the sum of weights relative to it.
struct Softmax {
  float maximum, sum;
};

/// Where 16 bytes of a key's slice are, so that neither eight neighbouring keys nor eight lanes
/// that fill four keys meet in a bank.
__device__ __forceinline__ std::uint32_t slice_place(std::uint32_t key, std::uint32_t half) {
  return key * 2 + (half ^ (key >> 2 & 1));
}

/// This lane's part of slice `slice` of `keys` keys: half of the slice of every 16th key; 0 behind
/// the last key and the last element.
template <class Lines>
__device__ __forceinline__ void load_slice(const Lines& lines, const typename Lines::Stored* tile,
                                           std::uint32_t keys, std::uint32_t slice,
                                           uint4 (&parts)[4]) {
  constexpr std::uint32_t kCount = 16 / sizeof(typename Lines::Stored);
  const std::uint32_t lane = threadIdx.x % kWarp;
  const std::uint32_t element = (slice * 2 + lane % 2) * kCount;
#pragma unroll
  for (std::uint32_t i = 0; i < 4; ++i) {
    const std::uint32_t key = lane / 2 + i * 16;
    parts[i] = std::bit_cast<uint4>(lines.template load_if<kCount>(
        key < keys, tile + key * lines.head_size + element, element));
  }
}

/// scores[q][i] = the product of query q and key lane + 32 i, summed in the order of elements.
/// @param q [kQueries][kKey], 0 behind the head's last element
template <int kQueries, int kKey, class Lines>
__device__ __forceinline__ void score_tile(const Lines& k, std::uint32_t begin, std::uint32_t keys,
                                           const float* q, WarpMemory& memory,
                                           float (&scores)[kQueries][2]) {
  constexpr DType Type = Lines::Type;
  using Stored = typename Lines::Stored;
  constexpr std::uint32_t kCount = 16 / sizeof(Stored);
  const std::uint32_t lane = threadIdx.x % kWarp;
  const std::uint32_t slices = (k.head_size + 2 * kCount - 1) / (2 * kCount);
  const Stored* const tile = k.at(begin);
#pragma unroll
  for (int i = 0; i < kQueries; ++i) scores[i][0] = scores[i][1] = 0;
  uint4 parts[4];
  load_slice(k, tile, keys, 0, parts);
  for (std::uint32_t slice = 0; slice < slices; ++slice) {
    __syncwarp();  // others still read what was there
#pragma unroll
    for (std::uint32_t i = 0; i < 4; ++i) {
      memory.keys[slice_place(lane / 2 + i * 16, lane % 2)] = parts[i];
    }
    __syncwarp();
    if (slice + 1 < slices) load_slice(k, tile, keys, slice + 1, parts);
#pragma unroll 1
    for (std::uint32_t half = 0; half < 2; ++half) {
      const auto near =
          std::bit_cast<Several<Stored, kCount>>(memory.keys[slice_place(lane, half)]);
      const auto far =
          std::bit_cast<Several<Stored, kCount>>(memory.keys[slice_place(lane + kWarp, half)]);
#pragma unroll
      for (std::uint32_t d = 0; d < kCount; d += 4) {
#pragma unroll
        for (int i = 0; i < kQueries; ++i) {
          const auto x = load<4>(q + i * kKey + (slice * 2 + half) * kCount + d);
#pragma unroll
          for (std::uint32_t e = 0; e < 4; ++e) {
            scores[i][0] = fmaf(x.of[e], widen_quickly<Type>(near.of[d + e]), scores[i][0]);
            scores[i][1] = fmaf(x.of[e], widen_quickly<Type>(far.of[d + e]), scores[i][1]);
          }
        }
      }
    }
  }
  __syncwarp();
}

/// Turns one query's scores into weights relative to the largest of the tile.
/// @param seen which of the lane's two keys it sees
/// @param sees whether any lane's; where none, its softmax is left as it is
__device__ __forceinline__ void softmax_tile(float (&scores)[2], const bool (&seen)[2], bool sees,
                                             Softmax& softmax) {
  if (!sees) {
    scores[0] = scores[1] = kUnseen;
    return;
  }
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  float largest = fmaxf(seen[0] ? scores[0] : kLowest, seen[1] ? scores[1] : kLowest);
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, lanes));
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) scores[i] = seen[i] ? exp(scores[i] - largest) : kUnseen;
  const float sum = sum_over_warp((seen[0] ? scores[0] : 0.0f) + (seen[1] ? scores[1] : 0.0f));
  softmax = {largest, sum};
}

/// Adds `keys` values with their weights, in the order of keys.
/// @tparam kMasked whether some query does not see some of them
template <bool kMasked, int kQueries, int kWide, class Lines>
__device__ __forceinline__ void weigh_tile(const Lines& v, std::uint32_t begin, std::uint32_t keys,
                                           const WarpMemory& memory,
                                           float (&values)[kQueries][kWide]) {
  constexpr DType Type = Lines::Type;
  using Stored = typename Lines::Stored;
  // Keys read at once, by what registers hold.
  constexpr std::uint32_t kAhead = !Lines::kAligned                        ? 2
                                   : kMasked || kWide * sizeof(Stored) > 8 ? 4
                                                                           : 8;
  constexpr std::uint32_t kWeights = kAhead < 4 ? kAhead : 4;  // read at once
  const std::uint32_t first = threadIdx.x % kWarp * kWide;
  const Stored* const tile = v.at(begin) + first;
  for (std::uint32_t key = 0; key < keys; key += kAhead) {
    Several<Stored, kWide> lines[kAhead];
#pragma unroll
    for (std::uint32_t i = 0; i < kAhead; ++i) {
      lines[i] = v.template load_if<kWide>(!kMasked || key + i < keys,
                                           tile + (key + i) * v.head_size, first);
    }
#pragma unroll
    for (std::uint32_t part = 0; part < kAhead; part += kWeights) {
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        const auto weights = load<kWeights>(&memory.weights[q][key + part]);
#pragma unroll
        for (std::uint32_t i = 0; i < kWeights; ++i) {
          const float weight = weights.of[i];
          const bool counts = !kMasked || !(weight < 0);  // a NaN does
#pragma unroll
          for (int e = 0; e < kWide; ++e) {
            float& value = values[q][e];
            const float sum = fmaf(weight, widen_quickly<Type>(lines[part + i].of[e]), value);
            value = counts ? sum : value;
          }
        }
      }
    }
  }
}

}  // namespace initrt::cuda
