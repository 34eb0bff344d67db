// Owners of CUDA's handles: streams, events, and memory of a device or pinned on the host.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <type_traits>

#include "runtime/device/buffer.h"
#include "runtime/device/cuda/check.h"
#include "runtime/device/stream.h"

namespace initrt::cuda {

/// Frees a handle; what goes wrong while doing so has been seen by an earlier call.
template <auto Free>
struct HandleDeleter {
  template <class Handle>
  void operator()(Handle handle) const {
    static_cast<void>(Free(handle));
  }
};

using Stream =
    std::unique_ptr<std::remove_pointer_t<cudaStream_t>, HandleDeleter<cudaStreamDestroy>>;
using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, HandleDeleter<cudaEventDestroy>>;

/// Whose work goes first where streams have some at once.
enum class Priority : std::uint8_t { Usual, High };

/// A stream that does not wait for the legacy default stream.
[[nodiscard]] Stream make_stream(Priority priority = Priority::Usual);

/// An event without timing. @param blocking whether threads that wait for it sleep
[[nodiscard]] Event make_event(bool blocking = false);

/// One that can be asked when it was reached; costs the GPU a little more.
[[nodiscard]] Event make_timed_event(bool blocking = false);

/// Whether the GPU has come to an event. @throws Error where it has failed
[[nodiscard]] bool has_passed(cudaEvent_t event);

/// A point in a stream's order.
class CudaFence final : public Fence {
 public:
  /// Everything put on `stream` so far.
  explicit CudaFence(cudaStream_t stream);
  [[nodiscard]] bool passed() const override;
  [[nodiscard]] cudaEvent_t event() const { return event_.get(); }

 private:
  int gpu_ = 0;
  Event event_;
};

/// What is put on `stream` from here on runs after `fence`; null: nothing to run after.
void run_after(cudaStream_t stream, const FenceHandle& fence);

/// Zeroed memory of the current device. @throws Error naming the categories and sizes
[[nodiscard]] Buffer allocate_device_memory(Ledger& ledger, std::span<const BufferPart> parts);

/// Takes over memory of the current device, of as many bytes as the parts have, and zeroes it.
[[nodiscard]] Buffer take_device_memory(Ledger& ledger, std::span<const BufferPart> parts,
                                        void* memory, Buffer::Release release);

/// Host memory that the current device reads and writes.
[[nodiscard]] Buffer allocate_pinned_memory(Ledger& ledger, std::span<const BufferPart> parts);

}  // namespace initrt::cuda
