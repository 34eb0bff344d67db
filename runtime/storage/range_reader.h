// The payload side of storage: byte ranges of a file of known size, read into staging blocks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace initrt {

/// Bytes read so far, over all readers that share it. Any thread may add.
struct ReadStatistics {
  std::atomic<std::uint64_t> requested_bytes{0};  ///< as asked for
  std::atomic<std::uint64_t> direct_bytes{0};     ///< read past the page cache, with alignment
  std::atomic<std::uint64_t> buffered_bytes{0};   ///< read through the page cache
  std::atomic<std::uint64_t> device_bytes{0};     ///< of direct_bytes: into a device's own memory

  /// All that was read.
  [[nodiscard]] std::uint64_t read_bytes() const { return direct_bytes + buffered_bytes; }
};

/// Staging blocks begin at multiples of this and so suit every device's direct reads.
inline constexpr std::uint64_t kBlockAlignment = 4096;

/// Reads ranges of one file or object. Implementations are thread-safe.
class RangeReader {
 public:
  virtual ~RangeReader() = default;

  [[nodiscard]] virtual const std::string& path() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;  ///< size of the file

  /// Room that read() may need in a block beyond the bytes asked for.
  [[nodiscard]] virtual std::uint64_t padding_bytes() const = 0;

  /// Reads [offset, offset + bytes) of the file somewhere into `block`, which begins at a multiple
  /// of kBlockAlignment and has at least bytes + padding_bytes() bytes.
  /// @returns the part of `block` that holds the range; what is around it is overwritten too.
  /// @throws Error naming path and byte where the range cannot be read to its end.
  virtual std::span<const std::byte> read(std::uint64_t offset, std::uint64_t bytes,
                                          std::span<std::byte> block) = 0;

  /// Whether the range is better read by read_to() than by read(): copied from the page cache, or
  /// through it where there is no other way.
  [[nodiscard]] virtual bool reads_to(std::uint64_t offset, std::uint64_t bytes) const {
    static_cast<void>(offset), static_cast<void>(bytes);
    return false;
  }

  /// Reads [offset, offset + bytes) to `to`, wherever that is. Only where reads_to() is true of a
  /// range around it. @throws Error as read() does
  virtual void read_to(std::uint64_t offset, std::uint64_t bytes, std::byte* to) {
    static_cast<void>(offset), static_cast<void>(bytes), static_cast<void>(to);
  }

  /// The file, open for direct reads, where the range is better read so than by read(); else -1.
  /// For devices that read by themselves; stays open as long as this.
  [[nodiscard]] virtual int direct_file(std::uint64_t offset, std::uint64_t bytes) const {
    static_cast<void>(offset), static_cast<void>(bytes);
    return -1;
  }

  /// Counts what was read of direct_file().
  /// @param requested_bytes of a range that was read to its end, else 0
  /// @param device_bytes read into a device's memory
  /// @param host_bytes read into the host's, beside those
  virtual void count_direct(std::uint64_t requested_bytes, std::uint64_t device_bytes,
                            std::uint64_t host_bytes) {
    static_cast<void>(requested_bytes), static_cast<void>(device_bytes);
    static_cast<void>(host_bytes);
  }
};

}  // namespace initrt
