// What a thread of a block is doing, and what is said of it where it can go no further.
#pragma once

#include <cstdint>
#include <span>

#include "block.h"
#include "cuda_emulator/device_code.h"

namespace cuda_emulator {

class Fiber;

struct WarpRequest {
  WarpOp op = WarpOp::Barrier;
  unsigned mask = 0;
  std::uint64_t value = 0;
  int operand = 0, width = 32;
  Place place;
};

struct ThreadState {
  enum State { Running, AtBlock, AtWarp, Ended };
  State state = Running;
  unsigned number = 0;  ///< in the block
  uint3 place_in_block{};
  Fiber* fiber = nullptr;
  Place place;  ///< where it waits
  BlockOp block_op = BlockOp::Barrier;
  int predicate = 0, block_result = 0;
  WarpRequest request;
  std::uint64_t warp_result = 0;
};

[[nodiscard]] bool same_place(const Place& a, const Place& b);
/// Whether two lanes meet: all is equal but the values, and the lanes shuffled from.
[[nodiscard]] bool same_request(const WarpRequest& a, const WarpRequest& b);
[[nodiscard]] bool is_shuffle(WarpOp op);
/// The lane that `lane` takes the value of.
[[nodiscard]] std::size_t source_lane(const WarpRequest& request, std::size_t lane);

/// Ends the process: the block named by blockIdx has threads that wait for ones that never come.
[[noreturn]] void abort_divergent(const KernelShape& shape, std::span<const ThreadState> threads);
[[noreturn]] void abort_thread(const KernelShape& shape, const ThreadState& thread,
                               const char* mistake);

}  // namespace cuda_emulator
