#include "runtime/device/host_buffer.h"

#include <sys/mman.h>

#include <algorithm>
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
  Mapping old(std::move(other));  // released here, not when `other` goes
  std::swap(address_, old.address_);
  std::swap(bytes_, old.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (address_ != nullptr) munmap(address_, bytes_);
}

HostBuffer::HostBuffer(Ledger& ledger, MemoryCategory category, std::uint64_t bytes)
    : HostBuffer(ledger, {{category, bytes}}) {}

HostBuffer::HostBuffer(Ledger& ledger, std::initializer_list<Part> parts) {
  bool overflow = false;
  for (const Part& part : parts) overflow |= __builtin_add_overflow(bytes_, part.bytes, &bytes_);
  if (bytes_ == 0 && !overflow) return;
  const bool huge = bytes_ >= kHugePage;
  std::uint64_t mapped = 0;
  overflow |= __builtin_add_overflow(bytes_, huge ? kHugePage : 0, &mapped);
  // Not MAP_NORESERVE: the kernel then refuses at once what exceeds the machine's whole memory.
  void* address = MAP_FAILED;
  errno = ENOMEM;
  if (!overflow) {
    address = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (address == MAP_FAILED) {
    const int reason = errno;
    std::string wanted;
    for (const Part& part : parts) {
      wanted += fmt::format("{}{} bytes for {}", wanted.empty() ? "" : " and ", part.bytes,
                            name(part.category));
    }
    fail("cannot allocate {}: {}", wanted, std::strerror(reason));
  }
  mapping_ = Mapping(address, mapped);
  data_ = mapping_.data();
  if (huge) {
    const auto start = reinterpret_cast<std::uintptr_t>(data_);
    data_ += (kHugePage - start % kHugePage) % kHugePage;
    madvise(data_, bytes_, MADV_HUGEPAGE);  // refused where the kernel has none: 4 KiB pages then
  }
  for (const Part& part : parts) entries_.emplace_back(ledger, part.category, part.bytes);
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept
    : mapping_(std::move(other.mapping_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      entries_(std::exchange(other.entries_, {})) {}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
  HostBuffer old(std::move(other));  // released here, not when `other` goes
  std::swap(mapping_, old.mapping_);
  std::swap(data_, old.data_);
  std::swap(bytes_, old.bytes_);
  std::swap(entries_, old.entries_);
  return *this;
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
  std::uint64_t overlap = 0;  // of the mapping that the lines are about: neighbours may share one
  std::uint64_t sum = 0;
  while (std::getline(maps, line)) {
    unsigned long long from = 0, until = 0, kib = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &from, &until) == 2) {
      const std::uint64_t first = std::max<std::uint64_t>(from, begin);
      const std::uint64_t last = std::min<std::uint64_t>(until, begin + bytes);
      overlap = first < last ? last - first : 0;
    } else if (overlap > 0 && (std::sscanf(line.c_str(), "AnonHugePages: %llu kB", &kib) == 1 ||
                               std::sscanf(line.c_str(), "ShmemPmdMapped: %llu kB", &kib) == 1)) {
      sum += std::min<std::uint64_t>(kib * 1024, overlap);
    }
  }
  return sum;
}

}  // namespace initrt
