// When things happen: the clock that all times of a timeline are of.
#pragma once

#include <chrono>
#include <cstdint>

namespace initrt {

/// Nanoseconds of the machine's steady clock, which all its processes share.
using HostTime = std::int64_t;

[[nodiscard]] inline HostTime host_time() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Interval {
  HostTime begin = 0, end = 0;

  bool operator==(const Interval&) const = default;
};

}  // namespace initrt
