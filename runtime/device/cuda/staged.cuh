// Bytes of a row on their way to a warp's shared memory, by 16 at once wherever the row begins, and
// words of them whatever their alignment.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {

/// Shared memory, 16-byte aligned, and where in it something lies.
struct Staged {
  const std::byte* base;
  std::uint32_t offset;

  __device__ __forceinline__ Staged at(std::uint32_t bytes) const { return {base, offset + bytes}; }
};

template <int kCount>
struct Words {
  std::uint32_t of[kCount];

  /// Byte `i`.
  __device__ __forceinline__ std::uint32_t byte(int i) const {
    return of[i / 4] >> i % 4 * 8 & 255;
  }
};

/// @tparam kAligned whether offsets are multiples of 4; else up to 4 bytes behind the words are
/// read
template <int kCount, bool kAligned>
__device__ __forceinline__ Words<kCount> words_at(Staged from) {
  const auto* const words = reinterpret_cast<const std::uint32_t*>(from.base) + from.offset / 4;
  Words<kCount> result;
  if constexpr (kAligned) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) result.of[i] = words[i];
  } else {
    const std::uint32_t shift = from.offset % 4 * 8;
    std::uint32_t low = words[0];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const std::uint32_t high = words[i + 1];
      result.of[i] = static_cast<std::uint32_t>((std::uint64_t{high} << 32 | low) >> shift);
      low = high;
    }
  }
  return result;
}

/// 16 bytes, at once where the row allows it: lanes are a multiple of 16 bytes apart.
__device__ __forceinline__ Words<4> sixteen_at(Staged from) {
  if (from.offset % 16 != 0) return words_at<4, false>(from);
  const uint4 all = *reinterpret_cast<const uint4*>(from.base + from.offset);
  return {{all.x, all.y, all.z, all.w}};
}

/// A warp's copy of up to `kBytes` bytes of a row.
template <int kBytes>
class Segment {
 public:
  static constexpr int kPieces = (kBytes + 15 + 15) / 16;
  /// Of shared memory, with what words_at() may read behind it.
  static constexpr int kRoom = (kPieces + 1) * 16;

  /// Reads the bytes into registers; zeros stand for those from `bytes` on.
  /// @param from of any alignment: the 16 bytes around the first one are read, and nothing behind
  ///        the last one
  __device__ __forceinline__ void read(const std::byte* from, std::uint32_t bytes) {
    offset_ = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(from) % 16);
    const std::byte* const begin = from - offset_;
    const std::uint32_t end = offset_ + bytes;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const std::uint32_t at = (i * kWarp + threadIdx.x % kWarp) * 16;
      if (at + 16 <= end) {
        pieces_[i] = *reinterpret_cast<const uint4*>(begin + at);
      } else {
        pieces_[i] = last_bytes(begin + at, at < end ? end - at : 0);
      }
    }
  }

  /// @param to 16-byte aligned, of kRoom bytes @returns where the first byte is, once all lanes
  /// have
  ///        met
  __device__ __forceinline__ Staged write(std::byte* to) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const std::uint32_t piece = i * kWarp + threadIdx.x % kWarp;
      if (piece < kPieces) *reinterpret_cast<uint4*>(to + piece * 16) = pieces_[i];
    }
    return {to, offset_};
  }

 private:
  /// The first `count` of 16 bytes, and zeros.
  __device__ __forceinline__ static uint4 last_bytes(const std::byte* from, std::uint32_t count) {
    std::uint64_t low = 0, high = 0;
    while (count > 0) {
      high = high << 8 | low >> 56;
      low = low << 8 | static_cast<std::uint64_t>(from[--count]);
    }
    return {static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
            static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)};
  }

  static constexpr int kEach = (kPieces + static_cast<int>(kWarp) - 1) / static_cast<int>(kWarp);
  uint4 pieces_[kEach];
  std::uint32_t offset_;
};

}  // namespace initrt::cuda
