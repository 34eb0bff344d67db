#include "runtime/device/host_memory.h"

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

Buffer allocate_host_memory(Ledger& ledger, MemoryCategory category, std::uint64_t bytes) {
  const BufferPart part{category, bytes};
  return allocate_host_memory(ledger, std::span(&part, 1));
}

Buffer allocate_host_memory(Ledger& ledger, std::span<const BufferPart> parts) {
  std::uint64_t bytes = 0;
  bool overflow = false;
  for (const BufferPart& part : parts)
    overflow |= __builtin_add_overflow(bytes, part.bytes, &bytes);
  if (bytes == 0 && !overflow) return {};
  const bool huge = bytes >= kHugePage;
  std::uint64_t mapped = 0;
  overflow |= __builtin_add_overflow(bytes, huge ? kHugePage : 0, &mapped);
  // Not MAP_NORESERVE: the kernel then refuses at once what exceeds the machine's whole memory.
  void* address = MAP_FAILED;
  errno = ENOMEM;
  if (!overflow) {
    address = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (address == MAP_FAILED) {
    const int reason = errno;
    throw ResourceError(Resource::Memory, fmt::format("cannot allocate {}: {}", describe(parts),
                                                      std::strerror(reason)));
  }
  auto* data = static_cast<std::byte*>(address);
  if (huge) {
    const auto start = reinterpret_cast<std::uintptr_t>(data);
    data += (kHugePage - start % kHugePage) % kHugePage;
    madvise(data, bytes, MADV_HUGEPAGE);  // refused where the kernel has none: 4 KiB pages then
  }
  return {ledger, parts, data, [address, mapped](std::byte*) { munmap(address, mapped); }};
}

std::string huge_page_choice(const std::string& of, const std::string& root) {
  std::ifstream file(root + "/sys/kernel/mm/transparent_hugepage/" + of);
  std::string word;
  while (file >> word) {
    if (word.front() == '[' && word.back() == ']') return word.substr(1, word.size() - 2);
  }
  return "";
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
