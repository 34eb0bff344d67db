// Pinned host memory handed out in order, for small things on their way to the device.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <span>

#include "runtime/device/cuda/handles.h"

namespace initrt::cuda {

/// What is taken stays valid until the device has done what was put on the stream by the time that
/// the half of the ring in question was full. One thread at a time.
class PinnedRing {
 public:
  PinnedRing() = default;
  /// @param memory pinned; outlives what the stream does with it
  /// @param wait_for returns once the stream has come to an event
  PinnedRing(std::span<std::byte> memory, cudaStream_t stream,
             std::function<void(cudaEvent_t)> wait_for);

  /// `bytes` of it, 16-byte aligned; waits where the device is still using them.
  /// @throws Error where it is more than most()
  [[nodiscard]] std::span<std::byte> take(std::size_t bytes);

  /// The most bytes that can be taken at once.
  [[nodiscard]] std::size_t most() const { return memory_.size() / 2; }

 private:
  std::span<std::byte> memory_;
  cudaStream_t stream_ = nullptr;
  std::function<void(cudaEvent_t)> wait_for_;
  std::array<Event, 2> used_;  // by half: the device is past the last use of it
  std::size_t half_ = 0;       // being handed out
  std::size_t next_ = 0;       // bytes of it
};

}  // namespace initrt::cuda
