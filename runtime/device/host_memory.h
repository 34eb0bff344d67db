// Host memory that holds tensor payload: page-aligned, zeroed, on huge pages where they are to be
// had, and entered in the ledger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/device/buffer.h"

namespace initrt {

/// A mapping of memory, released when it goes. Movable; owns its pages.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, std::size_t bytes) : address_(address), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(address_); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void* address_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Anonymous private memory, aligned to 2 MiB where it is that large, with MADV_HUGEPAGE asked for
/// (best effort: measured, first touch of 4 KiB pages is 3 to 4 times slower).
/// @throws Error naming the categories and sizes where the memory cannot be had
[[nodiscard]] Buffer allocate_host_memory(Ledger& ledger, std::span<const BufferPart> parts);
[[nodiscard]] Buffer allocate_host_memory(Ledger& ledger, MemoryCategory category,
                                          std::uint64_t bytes);

/// The kernel's choice of huge pages: "always", "madvise", "never"; "" if it does not tell.
/// @param of "enabled": of memory in general; "shmem_enabled": of memfds
/// @param root what /sys is below: "" but in tests
[[nodiscard]] std::string huge_page_choice(const std::string& of, const std::string& root = "");

/// Memory this process uses, with shared pages counted in proportion (PSS), in bytes; 0 if the
/// kernel does not tell.
[[nodiscard]] std::uint64_t proportional_set_bytes();

/// Bytes of [data, data + bytes) of this process that are on huge pages now; at the most, where the
/// kernel counts a neighbour's pages with them.
[[nodiscard]] std::uint64_t huge_page_bytes(const std::byte* data, std::uint64_t bytes);

}  // namespace initrt
