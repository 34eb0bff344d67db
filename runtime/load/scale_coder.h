// The seam between loading and what makes codes of scales once those of all ranks are known: a
// unit's scales are float32 in memory of their own until then, and the unit arrives after that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace initrt {

class ScaleCoder {
 public:
  virtual ~ScaleCoder() = default;

  /// @param coded told, in order, how many units are whole; from a thread of this
  virtual void start(std::function<void(std::uint32_t units)> coded) = 0;
  /// Where a unit's scales go as float32 (UnitScales), in the host's memory; null where none of
  /// them become codes. Asked in the order of units; waits until there is room.
  /// @throws Error once stopped
  [[nodiscard]] virtual std::byte* floats(std::uint32_t unit) = 0;
  /// The first `units` units are there, but for the codes of their scales.
  virtual void made(std::uint32_t units) = 0;
  /// Nobody waits any more.
  virtual void stop() = 0;
  /// Waits until all is done or has been stopped, and gives the memory back.
  virtual void finish() = 0;
};

}  // namespace initrt
