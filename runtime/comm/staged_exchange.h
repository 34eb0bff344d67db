// The exchange of devices with memory of their own over a communicator of hosts: units and rows go
// through pinned host memory. Slower than NCCL by two copies, but ranks may share a device.
#pragma once

#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/exchange.h"
#include "sharding/memory_plan.h"

namespace initrt {

class StagedExchange final : public Exchange {
 public:
  /// @param slots how many units may be under way at once, and of what size
  /// @param row_bytes the most that send_receive() sends or receives; a part that is sent to
  /// several ranks counts once References outlive the exchange.
  StagedExchange(Communicator& comm, DeviceMemory& device, const HostSlots& slots,
                 std::uint64_t row_bytes, Ledger& ledger);

  GatheringHandle start_all_gather(std::function<bool()> ready, FenceHandle free,
                                   std::span<const std::byte> chunk,
                                   std::span<std::byte> whole) override;
  void finish(const GatheringHandle& gathering) override;
  void send_receive(PartsToSend out, PartsToReceive in) override;
  void check() override { comm_.check(); }

 private:
  /// Host memory that one unit at a time goes through.
  struct Slot {
    std::span<std::byte> chunk, whole;
    FenceHandle emptied;  ///< what was gathered has been copied to the device
  };

  Communicator& comm_;
  DeviceMemory& device_;
  Buffer slot_memory_;
  Buffer rows_;
  std::vector<Slot> slots_;
  std::uint64_t gatherings_ = 0;
  std::vector<std::span<const std::byte>> outgoing_;  // of send_receive(), by rank
  std::vector<std::span<std::byte>> incoming_;
};

}  // namespace initrt
