// What kernels are written with: qualifiers, the place of a thread, barriers and warp operations.
// All threads of a block run on one OS thread, each as a fiber that gives way where it waits, so
// that thread-local memory is what they share.
#pragma once

#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "cuda_emulator/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ static thread_local
#define __grid_constant__

inline constinit thread_local uint3 threadIdx{}, blockIdx{};
inline constinit thread_local dim3 blockDim{}, gridDim{};
inline constexpr int warpSize = 32;

namespace cuda_emulator {

/// Whence a thread waits: two threads that wait at different lines do not meet.
using Place = std::source_location;

enum class BlockOp { Barrier, Or, And, Count };
enum class WarpOp { Barrier, Ballot, Any, All, Shuffle, ShuffleXor, ShuffleDown, ShuffleUp };

/// Waits for all threads of the block that have not ended.
/// @returns the number of threads, or whether any or all, whose predicate is not 0
int meet_block(BlockOp op, int predicate, const Place& place);

/// Waits for the lanes of `mask` that have not ended.
/// @param operand of a shuffle: the lane, the lane mask or the delta
/// @returns the value of the lane shuffled from, or the lanes whose predicate is not 0
std::uint64_t meet_warp(WarpOp op, unsigned mask, std::uint64_t value, int operand, int width,
                        const Place& place);

/// The block's dynamic shared memory, of the size that the launch gave.
void* dynamic_shared();

template <class T>
T shuffle(WarpOp op, unsigned mask, T value, int operand, int width, const Place& place) {
  static_assert(std::is_arithmetic_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = meet_warp(op, mask, bits, operand, width, place);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace cuda_emulator

inline void __syncthreads(const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  cuda_emulator::meet_block(cuda_emulator::BlockOp::Barrier, 0, place);
}
inline int __syncthreads_or(int predicate,
                            const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::meet_block(cuda_emulator::BlockOp::Or, predicate, place);
}
inline int __syncthreads_and(int predicate,
                             const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::meet_block(cuda_emulator::BlockOp::And, predicate, place);
}
inline int __syncthreads_count(
    int predicate, const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::meet_block(cuda_emulator::BlockOp::Count, predicate, place);
}

inline void __syncwarp(unsigned mask = 0xffffffffu,
                       const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  cuda_emulator::meet_warp(cuda_emulator::WarpOp::Barrier, mask, 0, 0, 32, place);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return static_cast<unsigned>(
      cuda_emulator::meet_warp(cuda_emulator::WarpOp::Ballot, mask, predicate != 0, 0, 32, place));
}
inline int __any_sync(unsigned mask, int predicate,
                      const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::meet_warp(cuda_emulator::WarpOp::Any, mask, predicate != 0, 0, 32, place) !=
         0;
}
inline int __all_sync(unsigned mask, int predicate,
                      const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::meet_warp(cuda_emulator::WarpOp::All, mask, predicate == 0, 0, 32, place) ==
         0;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::shuffle(cuda_emulator::WarpOp::Shuffle, mask, value, lane, width, place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::shuffle(cuda_emulator::WarpOp::ShuffleXor, mask, value, lanes, width,
                                place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::shuffle(cuda_emulator::WarpOp::ShuffleDown, mask, value,
                                static_cast<int>(delta), width, place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 const cuda_emulator::Place& place = cuda_emulator::Place::current()) {
  return cuda_emulator::shuffle(cuda_emulator::WarpOp::ShuffleUp, mask, value,
                                static_cast<int>(delta), width, place);
}
