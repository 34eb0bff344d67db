// The memory of a device and what is copied to it, from it and within it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/device/buffer.h"
#include "runtime/device/stream.h"

namespace initrt {

/// Bytes that are copied from one place of a device's memory to another.
struct CopyPiece {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  std::uint64_t bytes = 0;  ///< of a row
  std::uint64_t rows = 1;
  std::uint64_t from_stride = 0, to_stride = 0;  ///< bytes from row to row
};

/// A copy to the host under way.
class Download {
 public:
  virtual ~Download() = default;
  /// From any thread. @throws Error where the device has failed
  [[nodiscard]] virtual bool done() = 0;
};

/// Memory with the order in which it is copied: who moves bytes needs both. Pointers are to this
/// device's memory, as allocate() gives it, unless said otherwise.
class DeviceMemory : public DeviceStream {
 public:
  /// Whether its memory is discrete, not the host's.
  [[nodiscard]] virtual bool is_discrete() const { return false; }

  /// Memory of this device, zeroed, whose parts are of several categories.
  /// @throws Error naming the category and size where the memory cannot be had
  [[nodiscard]] virtual Buffer allocate(Ledger& ledger, std::span<const BufferPart> parts) = 0;

  /// Host memory that this device copies from and to by itself (pinned, where that is a thing).
  [[nodiscard]] virtual Buffer allocate_host(Ledger& ledger, MemoryCategory category,
                                             std::uint64_t bytes) = 0;

  /// Copies ordinary host memory to the device; it may change as soon as this returns. Goes through
  /// the pinned memory of DeviceOps::set_scratch(). @throws Error before there is any
  virtual void write(std::span<const std::byte> from, std::byte* to) = 0;

  /// Copies memory from allocate_host() to the device: it is read later.
  virtual void upload(std::span<const std::byte> from, std::byte* to) = 0;

  /// The same from any thread and beside what is enqueued, to memory that no op uses yet: when this
  /// returns it is there, for ops that are asked for later.
  virtual void store(std::span<const std::byte> from, std::byte* to) = 0;

  /// Copies to memory from allocate_host().
  virtual void read(const std::byte* from, std::span<std::byte> to) = 0;

  /// The same on a stream of its own and from any thread, of memory that no op writes.
  [[nodiscard]] virtual std::shared_ptr<Download> start_download(const std::byte* from,
                                                                 std::span<std::byte> to) = 0;

  /// Copies within the device, pieces in any order. None overlaps another's destination.
  virtual void copy(std::span<const CopyPiece> pieces) = 0;
};

[[nodiscard]] inline Buffer allocate(DeviceMemory& device, Ledger& ledger, MemoryCategory category,
                                     std::uint64_t bytes) {
  const BufferPart part{category, bytes};
  return device.allocate(ledger, std::span(&part, 1));
}

}  // namespace initrt
