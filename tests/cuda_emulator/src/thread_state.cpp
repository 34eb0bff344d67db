// What is said of threads of a block that can go no further.
#include "thread_state.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace cuda_emulator {
namespace {

constexpr const char* kWarpOps[] = {"__syncwarp",       "__ballot_sync", "__any_sync",
                                    "__all_sync",       "__shfl_sync",   "__shfl_xor_sync",
                                    "__shfl_down_sync", "__shfl_up_sync"};
constexpr const char* kBlockOps[] = {"__syncthreads", "__syncthreads_or", "__syncthreads_and",
                                     "__syncthreads_count"};

std::string describe(const ThreadState& thread) {
  const uint3& at = thread.place_in_block;
  std::string text = fmt::format("thread ({},{},{}) ", at.x, at.y, at.z);
  if (thread.state == ThreadState::Ended) return text + "ended";
  if (thread.state == ThreadState::Running) return text + "runs";
  const bool warp = thread.state == ThreadState::AtWarp;
  text += fmt::format("waits in {}", warp ? kWarpOps[static_cast<int>(thread.request.op)]
                                          : kBlockOps[static_cast<int>(thread.block_op)]);
  if (warp) text += fmt::format(" (mask {:#x})", thread.request.mask);
  return text + fmt::format(" at {}:{}, {}", thread.place.file_name(), thread.place.line(),
                            thread.place.function_name());
}

[[noreturn]] void stop(const KernelShape& shape, const std::string& text) {
  fmt::print(stderr, "cuda emulator: block ({},{},{}) of grid ({},{},{}) of {}x{}x{} threads: {}\n",
             blockIdx.x, blockIdx.y, blockIdx.z, shape.grid.x, shape.grid.y, shape.grid.z,
             shape.block.x, shape.block.y, shape.block.z, text);
  std::fflush(stderr);
  std::abort();
}

bool alike(const ThreadState& a, const ThreadState& b) {
  if (a.state != b.state) return false;
  if (a.state == ThreadState::AtWarp) return same_request(a.request, b.request);
  return a.state != ThreadState::AtBlock || same_place(a.place, b.place);
}

}  // namespace

bool same_place(const Place& a, const Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

bool same_request(const WarpRequest& a, const WarpRequest& b) {
  return a.op == b.op && a.mask == b.mask && a.width == b.width && same_place(a.place, b.place);
}

bool is_shuffle(WarpOp op) { return op >= WarpOp::Shuffle; }

std::size_t source_lane(const WarpRequest& request, std::size_t lane) {
  const auto width = static_cast<std::size_t>(request.width);
  const auto operand = static_cast<std::size_t>(request.operand);
  const std::size_t first = lane / width * width;  // of the lane's own part of the warp
  switch (request.op) {
    case WarpOp::Shuffle:
      return first + operand % width;
    case WarpOp::ShuffleXor: {
      const std::size_t from = lane ^ operand;
      return from < first + width ? from : lane;
    }
    case WarpOp::ShuffleDown:
      return lane + operand < first + width ? lane + operand : lane;
    case WarpOp::ShuffleUp:
      return lane >= first + operand ? lane - operand : lane;
    default:
      return lane;
  }
}

void abort_divergent(const KernelShape& shape, std::span<const ThreadState> threads) {
  std::string text = "not all threads meet";
  const ThreadState* shown[4] = {};
  std::size_t count = 0;
  for (const ThreadState& thread : threads) {
    bool known = false;
    for (std::size_t i = 0; i < count; ++i) known = known || alike(thread, *shown[i]);
    if (known || count == std::size(shown)) continue;
    shown[count++] = &thread;
    text += "; " + describe(thread);
  }
  stop(shape, text);
}

void abort_thread(const KernelShape& shape, const ThreadState& thread, const char* mistake) {
  stop(shape, describe(thread) + ": it " + mistake);
}

}  // namespace cuda_emulator
