// What is read from files on its way into a device's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/device/host_clock.h"
#include "runtime/device/ledger.h"
#include "sharding/dtype.h"
#include "sharding/reads.h"

namespace initrt {

/// Where a batch's memory begins in a block of so many bytes; its reads go before it.
[[nodiscard]] constexpr std::uint64_t batch_begin(std::uint64_t block_bytes) {
  return block_bytes / 2 / 4096 * 4096;
}

/// What an uploader has read from a file by itself.
struct Fetched {
  std::span<const std::byte> bytes;  ///< in the device's memory; empty where it could not
  std::uint64_t device_bytes = 0;    ///< read into the device's memory, with alignment
  std::uint64_t host_bytes = 0;      ///< read once more by the host, to compare
};

/// What became of a read, and when.
struct StoredRead {
  std::uint64_t bytes = 0;          ///< written where they belong
  std::optional<Interval> copy;     ///< to the device's memory, where it is its own
  std::optional<Interval> convert;  ///< unless the pieces were copied as they are
};

/// Takes what is read from files into a device's memory; each thread that reads has its own. It
/// works beside the device's stream, and does not wait for what was enqueued there.
class Uploader {
 public:
  virtual ~Uploader() = default;

  /// Whether what it stores to is the host's memory, so that a read may go there by itself.
  [[nodiscard]] virtual bool stores_on_host() const { return false; }

  /// Whether fetch() may be of use.
  [[nodiscard]] virtual bool fetches() const { return false; }

  /// Reads a range of a file straight into the device's memory, past the host's. Where that cannot
  /// be done nothing is lost: the range can still be read into block().
  /// @param descriptor of the file, open with O_DIRECT; outlives the uploader
  virtual Fetched fetch(int descriptor, std::uint64_t offset, std::uint64_t bytes) {
    static_cast<void>(descriptor), static_cast<void>(offset), static_cast<void>(bytes);
    return {};
  }

  /// Whether giving back its memory may wait for all that the device does.
  [[nodiscard]] virtual bool release_waits() const { return false; }

  /// Host memory to read into: one block of the staging ring.
  [[nodiscard]] virtual std::span<std::byte> block() const = 0;

  /// Converts the pieces of one read to where they belong; of a batch, whose reads come in order,
  /// to its memory, and with the last read makes its rows where they belong. When this returns they
  /// are there, for ops that are asked for later, and what was read may be read over.
  /// @param bytes the read's bytes, a part of block() or what fetch() has just read; of a batch in
  ///        the block before batch_begin()
  /// @param to this device's memory, where destinations count from
  virtual StoredRead store(const UnitReads& plan, const ReadTask& task, const Read& read,
                           std::span<const std::byte> bytes, std::byte* to) = 0;
};

/// Makes the uploaders of a device.
class UploaderFactory {
 public:
  virtual ~UploaderFactory() = default;

  /// The staging ring and what is needed to convert what goes through it: one for each block.
  [[nodiscard]] virtual std::vector<std::unique_ptr<Uploader>> make_uploaders(
      Ledger& ledger, const StagingRing& ring) = 0;
};

}  // namespace initrt
