// When events were reached, by the host's clock. CUDA tells the time between two events; so a
// moment is made of which both clocks' times are known.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "runtime/device/cuda/handles.h"
#include "runtime/device/host_clock.h"

namespace initrt::cuda {

/// An event that was reached, and when that was: in the middle of the shortest of some round trips
/// from the host to the GPU, so wrong by half of one at the most, some microseconds.
class ClockBase {
 public:
  /// Of the current device. @param idle a stream with nothing on it
  explicit ClockBase(cudaStream_t idle);

  /// @param event with timing, recorded after this was made and reached
  [[nodiscard]] HostTime time_of(cudaEvent_t event) const;
  [[nodiscard]] Interval between(cudaEvent_t begin, cudaEvent_t end) const;
  /// CUDA counts in float milliseconds, and clocks drift: whether ten seconds are over.
  [[nodiscard]] bool is_old() const;

 private:
  Event event_;
  HostTime at_ = 0;
};
using ClockBaseHandle = std::shared_ptr<const ClockBase>;

/// Makes another where there is none or it is old.
void renew(ClockBaseHandle& base, cudaStream_t idle);

/// A point in a stream's order that is timed.
class CudaStamp final : public Stamp {
 public:
  /// Everything put on `stream` so far.
  CudaStamp(cudaStream_t stream, ClockBaseHandle base);
  [[nodiscard]] HostTime time() const override { return base_->time_of(event_.get()); }

 private:
  const ClockBaseHandle base_;
  const Event event_;
};

}  // namespace initrt::cuda
