#include "runtime/device/cuda/pinned_ring.h"

#include <utility>

#include "sharding/error.h"

namespace initrt::cuda {
namespace {

constexpr std::size_t kAlignment = 16;

}  // namespace

PinnedRing::PinnedRing(std::span<std::byte> memory, cudaStream_t stream,
                       std::function<void(cudaEvent_t)> wait_for)
    : memory_(memory),
      stream_(stream),
      wait_for_(std::move(wait_for)),
      used_{make_event(), make_event()} {}

std::span<std::byte> PinnedRing::take(std::size_t bytes) {
  if (bytes > most()) fail("cuda: {} bytes do not fit a ring of {}", bytes, memory_.size());
  if (next_ + bytes > most()) {
    check(cudaEventRecord(used_[half_].get(), stream_), "recording an event");
    half_ = 1 - half_;
    next_ = 0;
    wait_for_(used_[half_].get());
  }
  const std::span<std::byte> taken = memory_.subspan(half_ * most() + next_, bytes);
  next_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return taken;
}

}  // namespace initrt::cuda
