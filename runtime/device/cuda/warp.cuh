// What the lanes of a warp do together. Sums have one tree: lanes 16 apart first, then 8, 4, 2, 1.
#pragma once

#include <cuda_runtime.h>

namespace initrt::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr unsigned kWarp = 32;

/// The sum over all lanes, the same for each of them.
template <class T>
__device__ __forceinline__ T sum_over_warp(T x) {
#pragma unroll
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) x += __shfl_xor_sync(kAllLanes, x, lanes);
  return x;
}

/// Steps of sum_each_over_warp() from lanes kApart apart on, while each has 2 * kHalf sums. By
/// recursion, since of loops not all become registers.
template <int kHalf, int kApart, int kCount, class T>
__device__ __forceinline__ void share_sums(T (&values)[kCount]) {
  if constexpr (kApart > 0) {
    if constexpr (kHalf > 0) {
      const bool upper = (threadIdx.x & static_cast<unsigned>(kApart)) != 0;
#pragma unroll
      for (int i = 0; i < kHalf; ++i) {
        const T given = upper ? values[i] : values[kHalf + i];
        const T kept = upper ? values[kHalf + i] : values[i];
        values[i] = kept + __shfl_xor_sync(kAllLanes, given, kApart);
      }
    } else {
      values[0] += __shfl_xor_sync(kAllLanes, values[0], kApart);
    }
    share_sums<kHalf / 2, kApart / 2>(values);
  }
}

/// Each of `kCount` values summed over all lanes, with the bits of sum_over_warp(): lanes share the
/// values out between them, so that it takes fewer steps than a sum for each.
/// @tparam kCount a power of two up to kWarp
/// @returns the sum of value lane / (kWarp / kCount)
template <int kCount, class T>
__device__ __forceinline__ T sum_each_over_warp(T (&values)[kCount]) {
  static_assert((kCount & (kCount - 1)) == 0 && kCount <= static_cast<int>(kWarp));
  share_sums<kCount / 2, static_cast<int>(kWarp) / 2>(values);
  return values[0];
}

}  // namespace initrt::cuda
