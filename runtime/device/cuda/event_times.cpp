#include "runtime/device/cuda/event_times.h"

#include <limits>
#include <utility>

namespace initrt::cuda {
namespace {

constexpr int kRoundTrips = 4;
constexpr HostTime kMaxAge = 10'000'000'000;  // float milliseconds are then exact to 1 us

HostTime elapsed(cudaEvent_t from, cudaEvent_t to) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, from, to), "asking how long something took");
  return static_cast<HostTime>(static_cast<double>(milliseconds) * 1e6);
}

}  // namespace

ClockBase::ClockBase(cudaStream_t idle) {
  HostTime shortest = std::numeric_limits<HostTime>::max();
  for (int i = 0; i < kRoundTrips; ++i) {
    Event event = make_timed_event();
    const HostTime before = host_time();
    check(cudaEventRecord(event.get(), idle), "recording an event");
    check(cudaEventSynchronize(event.get()), "waiting for an event");
    const HostTime took = host_time() - before;
    if (took >= shortest) continue;
    shortest = took;
    at_ = before + took / 2;
    event_ = std::move(event);
  }
}

HostTime ClockBase::time_of(cudaEvent_t event) const { return at_ + elapsed(event_.get(), event); }

Interval ClockBase::between(cudaEvent_t begin, cudaEvent_t end) const {
  const HostTime from = time_of(begin);
  return {from, from + elapsed(begin, end)};
}

bool ClockBase::is_old() const { return host_time() - at_ > kMaxAge; }

void renew(ClockBaseHandle& base, cudaStream_t idle) {
  if (!base || base->is_old()) base = std::make_shared<const ClockBase>(idle);
}

CudaStamp::CudaStamp(cudaStream_t stream, ClockBaseHandle base)
    : base_(std::move(base)), event_(make_timed_event()) {
  check(cudaEventRecord(event_.get(), stream), "recording an event");
}

}  // namespace initrt::cuda
