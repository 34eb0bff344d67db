// Sweeps whose exchanges are among the ops that a device records.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/device/stream.h"

namespace initrt {

/// A sweep is recorded by all ranks or by none: NCCL's operations must be captured, and their
/// graphs launched, alike on all ranks that take part (its user guide, "Using NCCL with CUDA
/// Graphs"). So all ranks make the same calls in the same order, and agree on each recording.
class RecordedSweeps {
 public:
  /// References outlive it.
  RecordedSweeps(DeviceStream& device, Communicator& comm) : device_(device), comm_(comm) {}

  /// Runs `ops`, which enqueues the same ops with the same arguments whenever all ranks bring the
  /// same `sizes`: as they are the first time, so that what is made on first use is made; recorded
  /// from the second on, where all ranks can. Collective.
  /// @param sizes the same on all ranks
  void run(std::span<const std::uint32_t> sizes, const std::function<void()>& ops);

 private:
  struct Sweep {
    std::uint64_t key = 0;
    bool tried = false, recorded = false;
  };

  [[nodiscard]] bool record(std::uint64_t key, const std::function<void()>& ops);

  DeviceStream& device_;
  Communicator& comm_;
  std::map<std::vector<std::uint32_t>, Sweep> sweeps_;
  std::vector<std::uint32_t> sizes_;  // of one run(), kept from sweep to sweep
  std::vector<std::uint8_t> flags_;   // by rank
};

}  // namespace initrt
