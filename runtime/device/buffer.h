// Memory that holds tensor payload, of a device or of the host, entered in the ledger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/device/ledger.h"

namespace initrt {

/// Bytes of a buffer that count as one category.
struct BufferPart {
  MemoryCategory category;
  std::uint64_t bytes;
};

/// One range of memory, given back when it goes. Movable. A device makes it: whose memory it is,
/// and so who may read it, is the maker's to say.
class Buffer {
 public:
  /// Gives memory back; called once, with what was allocated.
  using Release = std::function<void(std::byte*)>;

  Buffer() = default;
  /// Takes `data` over. @param parts what it is for; their bytes are the buffer's
  Buffer(Ledger& ledger, std::span<const BufferPart> parts, std::byte* data, Release release);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() = default;

  [[nodiscard]] std::byte* data() const { return data_.get(); }
  [[nodiscard]] std::span<std::byte> span() const { return {data(), bytes_}; }
  [[nodiscard]] float* floats() const { return reinterpret_cast<float*>(data()); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  std::vector<LedgerEntry> entries_;  // before data_: the ledger forgets once the memory is back
  std::unique_ptr<std::byte, Release> data_;
  std::uint64_t bytes_ = 0;
};

/// The sum of the parts' bytes. @throws Error where it overflows
[[nodiscard]] std::uint64_t bytes_of(std::span<const BufferPart> parts);

/// "4096 bytes for shard and 8192 bytes for resident", for errors.
[[nodiscard]] std::string describe(std::span<const BufferPart> parts);

}  // namespace initrt
