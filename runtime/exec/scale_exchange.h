// Scales to codes over all ranks. The codes of a matrix depend on the mean of all its scales, and
// on the largest in each 256 of them, which may be two ranks': so for each unit the ranks
// all-gather the sums of their scales and those at the edges of their rows, some kilobytes, while
// they load.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/device/memory.h"
#include "runtime/load/arrivals.h"
#include "runtime/load/scale_coder.h"
#include "sharding/scale_coding.h"

namespace initrt {

/// All of a rank's all-gathers are asked for at the start, in the order of units: what the
/// communicator is asked for later waits until this rank's units are read.
class ScaleExchange final : public ScaleCoder {
 public:
  /// References outlive this. @param shard this rank's, memory of the device
  ScaleExchange(const Graph& graph, const Layout& layout, const Cut& cut, Communicator& comm,
                DeviceMemory& device, Arrivals& arrivals, std::span<std::byte> shard,
                Ledger& ledger);
  ScaleExchange(const ScaleExchange&) = delete;
  ScaleExchange& operator=(const ScaleExchange&) = delete;
  /// All-gathers under way hold on to this memory: the world must be at rest or have failed.
  ~ScaleExchange() override;

  void start(std::function<void(std::uint32_t units)> coded) override;
  [[nodiscard]] std::byte* floats(std::uint32_t unit) override;
  void made(std::uint32_t units) override;
  void stop() override;
  void finish() override;

 private:
  struct CodedUnit {
    std::uint32_t unit = 0;
    UnitScales scales;
    TransferHandle gathering;
  };

  void work();
  [[nodiscard]] bool wait_until_made(std::uint32_t unit);
  void settle();
  [[nodiscard]] std::byte* slot(std::size_t number) const {
    return memory_.data() + number % ScaleMemory::kSlots * sizes_.slot_bytes;
  }
  [[nodiscard]] std::span<std::byte> message() const;
  [[nodiscard]] std::span<const float> own(const CodedScales& scales, std::size_t number) const;
  void write_message(std::size_t number);
  void code(std::size_t number);
  void code(const CodedScales& scales, std::size_t number);
  [[nodiscard]] std::vector<float> magnitudes(const CodedScales& scales, std::size_t number,
                                              float offset) const;
  [[nodiscard]] float told_scale(const CodedScales& scales, std::uint64_t message_bytes,
                                 std::uint64_t at) const;

  const Cut& cut_;
  Communicator& comm_;
  DeviceMemory& device_;
  Arrivals& arrivals_;
  const std::span<std::byte> shard_;
  const ScaleMemory sizes_;
  const std::uint32_t rank_;
  const std::uint32_t unit_count_;
  std::vector<CodedUnit> units_;        // that have such scales
  std::vector<std::uint32_t> numbers_;  // by unit: of units_, the first that is not before it
  Buffer memory_;                       // slots, this rank's message, all ranks'

  std::function<void(std::uint32_t)> coded_hook_;
  std::thread thread_;
  std::atomic<std::size_t> told_{0};  // of units_, whose message has been written
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t made_ = 0;  // guarded by mutex_
  std::size_t coded_ = 0;   // of units_; guarded by mutex_
  bool stopped_ = false;    // guarded by mutex_
};

}  // namespace initrt
