// How units and embedding rows, which lie in devices' memory, go between ranks. The communicator
// carries everything else, which lies on the host.
//
// An exchange keeps to the order of its device: what is sent is what ops asked for before have
// made, and ops asked for afterwards see what was received. Every rank makes the same calls in the
// same order. Every wait ends, as those of a communicator do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "runtime/comm/parts.h"
#include "runtime/device/memory.h"

namespace initrt {

/// An all-gather under way.
class Gathering {
 public:
  virtual ~Gathering() = default;
  /// When it was under way, on this rank. Once it has been finished and the device synchronized.
  [[nodiscard]] virtual Interval interval() const = 0;
};
using GatheringHandle = std::shared_ptr<Gathering>;

/// Rows of activations and of the embedding.
class RowLink {
 public:
  virtual ~RowLink() = default;

  /// As Communicator::send_receive(), of the device's memory. What is sent may be sent by reading
  /// it later, until the next call returns: it must not change before.
  virtual void send_receive(PartsToSend out, PartsToReceive in) = 0;

  /// Whether it may be among the ops that Device::record() records, and is replayed with them. All
  /// ranks must record it then, or none.
  [[nodiscard]] virtual bool can_be_recorded() const { return false; }

  /// send_receive() of parts that lie one after the other in rank order.
  void all_to_all(std::span<const std::byte> out, std::span<const std::uint64_t> out_bytes,
                  std::span<std::byte> in, std::span<const std::uint64_t> in_bytes) {
    send_receive(parts_of(out, out_bytes), parts_of(in, in_bytes));
  }

  /// Memory of `device`, the link's, that will be sent from and received in: as
  /// DeviceMemory::allocate(), of a kind that this transport moves fastest. It may outlive the
  /// link.
  [[nodiscard]] virtual Buffer allocate(DeviceMemory& device, Ledger& ledger,
                                        std::span<const BufferPart> parts) {
    return device.allocate(ledger, parts);
  }
};

/// Units, too.
class Exchange : public RowLink {
 public:
  /// whole = every rank's chunk, in rank order; in the background, in call order. Begins once
  /// ready() is true, which may be called from another thread and may throw, and the device has
  /// come to `free`. `chunk` may be its own place in `whole`. Both stay valid until finish() is
  /// called.
  virtual GatheringHandle start_all_gather(std::function<bool()> ready, FenceHandle free,
                                           std::span<const std::byte> chunk,
                                           std::span<std::byte> whole) = 0;

  /// Ops asked for from here on see all of `whole`. Waits as long as that takes some rank's host.
  /// @throws whatever made it fail, or what the first rank to fail failed with
  virtual void finish(const GatheringHandle& gathering) = 0;

  /// Prepares memory that units will be gathered from and to, for as long as what is returned
  /// lives; null where there is nothing to prepare.
  [[nodiscard]] virtual std::shared_ptr<void> prepare(std::span<std::byte> memory) {
    static_cast<void>(memory);
    return nullptr;
  }

  /// This rank has failed: what is under way will not be waited for.
  virtual void abandon() {}

  /// @throws Error if some rank has failed or nothing more can be received. For who waits for the
  ///         device.
  virtual void check() = 0;
};

}  // namespace initrt
