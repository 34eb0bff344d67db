// When a sweep's units were run, for a timeline.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/device/stream.h"
#include "runtime/device/timeline.h"
#include "sharding/layout.h"

namespace initrt {

class UnitTimes {
 public:
  /// References outlive this. @param timeline null: nothing is measured
  UnitTimes(DeviceStream& device, Timeline* timeline, const Layout& layout)
      : device_(device), timeline_(timeline), layout_(layout) {}

  [[nodiscard]] bool wanted() const { return timeline_ != nullptr; }

  /// Calls `run`, which asks the device for the unit's ops.
  template <class Run>
  void measure(std::uint32_t unit, Run run) {
    measure(unit, Lane::Execute, layout_.units[unit].bytes, run);
  }
  /// Calls `run`, which asks for what belongs in another lane.
  template <class Run>
  void measure(std::uint32_t unit, Lane lane, std::uint64_t bytes, Run run) {
    StampHandle begin = wanted() ? device_.stamp() : nullptr;
    run();
    if (wanted()) measured_.push_back({unit, lane, bytes, std::move(begin), device_.stamp()});
  }

  /// Tells the timeline of what has been measured. The device has been synchronized.
  void record();

 private:
  struct Measured {
    std::uint32_t unit = 0;
    Lane lane = Lane::Execute;
    std::uint64_t bytes = 0;
    StampHandle begin, end;
  };

  DeviceStream& device_;
  Timeline* const timeline_;
  const Layout& layout_;
  std::vector<Measured> measured_;
};

}  // namespace initrt
