#include "runtime/device/host_buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kHugePage = 2u << 20;

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (address_ != nullptr) munmap(address_, bytes_);
}

HostBuffer::HostBuffer(Ledger& ledger, MemoryCategory category, std::uint64_t bytes)
    : bytes_(bytes) {
  if (bytes == 0) return;
  const bool huge = bytes >= kHugePage;
  const std::uint64_t mapped = bytes + (huge ? kHugePage : 0);
  void* address =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    fail("cannot allocate {} bytes for {}: {}", bytes, name(category), std::strerror(errno));
  }
  mapping_ = Mapping(address, mapped);
  data_ = mapping_.data();
  if (huge) {
    const auto start = reinterpret_cast<std::uintptr_t>(data_);
    data_ += (kHugePage - start % kHugePage) % kHugePage;
    madvise(data_, bytes, MADV_HUGEPAGE);  // refused where the kernel has none: 4 KiB pages then
  }
  entry_ = LedgerEntry(ledger, category, bytes);
}

std::uint64_t proportional_set_bytes() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  std::string line;
  while (std::getline(rollup, line)) {
    unsigned long long kib = 0;
    if (std::sscanf(line.c_str(), "Pss: %llu kB", &kib) == 1) return kib * 1024;
  }
  return 0;
}

std::uint64_t huge_page_bytes(const std::byte* data, std::uint64_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  std::uint64_t sum = 0;
  while (std::getline(maps, line)) {
    unsigned long long from = 0, until = 0, kib = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &from, &until) == 2) {
      inside = from < begin + bytes && until > begin;
    } else if (inside && (std::sscanf(line.c_str(), "AnonHugePages: %llu kB", &kib) == 1 ||
                          std::sscanf(line.c_str(), "ShmemPmdMapped: %llu kB", &kib) == 1)) {
      sum += kib * 1024;
    }
  }
  return sum;
}

}  // namespace initrt
