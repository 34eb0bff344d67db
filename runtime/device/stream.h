// The order of a device. Copies (memory.h) and ops (ops.h) are enqueued into its one stream, like
// CUDA's, and done in the order in which they were asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "runtime/device/host_clock.h"

namespace initrt {

/// A point in a device's stream, like a CUDA event.
class Fence {
 public:
  virtual ~Fence() = default;
  /// Whether the device has reached it. From any thread.
  [[nodiscard]] virtual bool passed() const = 0;
};
using FenceHandle = std::shared_ptr<const Fence>;

/// A Fence that also knows when the device reached it, like a CUDA event with timing.
class Stamp {
 public:
  virtual ~Stamp() = default;
  /// Once the device has been synchronized. @throws Error where it has failed
  [[nodiscard]] virtual HostTime time() const = 0;
};
using StampHandle = std::shared_ptr<const Stamp>;

/// Calls are asynchronous and stream-ordered: results are visible to the host after synchronize().
/// One thread enqueues.
class DeviceStream {
 public:
  virtual ~DeviceStream() = default;

  /// After everything enqueued so far.
  [[nodiscard]] virtual FenceHandle fence() = 0;

  /// Makes what is enqueued from here on run after `fence`, without blocking the host; null: no
  /// wait.
  virtual void after(const FenceHandle& fence) = 0;

  /// fence() with a time. What it costs is small, but not nothing.
  [[nodiscard]] virtual StampHandle stamp() = 0;

  /// Waits until everything enqueued so far is done. @throws Error where the device has failed
  virtual void synchronize() = 0;

  /// `watch` is called again and again while the host waits for the device, and may throw: what the
  /// device is waiting for may never come. Empty: nobody watches.
  virtual void set_watch(std::function<void()> watch) = 0;

  /// Runs `ops`, which enqueues the same ops with the same arguments (the contents of memory may
  /// differ) whenever it is called with this key. A device may record them, and replay the
  /// recording without calling `ops`.
  virtual void repeat(std::uint64_t key, const std::function<void()>& ops) {
    static_cast<void>(key);
    ops();
  }

  /// Records what `ops` enqueues without running it, for replay(). Keys are those of repeat().
  /// @returns whether the device could; if not, nothing has run
  [[nodiscard]] virtual bool record(std::uint64_t key, const std::function<void()>& ops) {
    static_cast<void>(key);
    static_cast<void>(ops);
    return false;
  }

  /// Runs what was recorded, as often as wanted. @throws Error if nothing is by that key
  virtual void replay(std::uint64_t key);
};

}  // namespace initrt
