// Device memory: pages of this process that may be touched only while a stream has work, between
// pages that may never be. Host memory: the heap's, known by address.
#include "memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>

#include "hidden.h"
#include "poison.h"

namespace cuda_emulator {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlignment = 256;

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

struct Allocation {
  std::size_t bytes = 0;
  MemoryKind kind = MemoryKind::Device;
  Device* device = nullptr;
  std::byte* pages = nullptr;  ///< device memory's first page
  std::size_t page_bytes = 0;  ///< without the page after them
  bool registered = false;     ///< not ours to free
};

class Allocations {
 public:
  static Allocations& get() {
    static Allocations* const instance = new Allocations;
    return *instance;
  }

  std::mutex mutex;
  std::map<const std::byte*, Allocation> all;
  std::int64_t users = 0;
  bool open = false;
  bool protect = true;

  /// The allocation that `memory` is in, or all.end().
  auto find(const void* memory) {
    const auto* at = static_cast<const std::byte*>(memory);
    auto next = all.upper_bound(at);
    if (next == all.begin()) return all.end();
    --next;
    return at < next->first + next->second.bytes ? next : all.end();
  }

  void set_access(const Allocation& one) {
    if (one.kind == MemoryKind::Device && protect)
      mprotect(one.pages, one.page_bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
  }

  void set_open(bool now) {
    if (std::exchange(open, now) == now) return;
    for (const auto& [first, one] : all) set_access(one);
  }

  void unmap(const Allocation& one) {
    allow(one.pages, one.page_bytes);
    munmap(one.pages, one.page_bytes + kPage);
  }

 private:
  Allocations() {
    const char* variable = std::getenv("CUDA_EMULATOR_PROTECT");
    protect = variable == nullptr || std::strcmp(variable, "0") != 0;
  }
};

}  // namespace

std::optional<MemoryKind> kind_of(const void* memory, std::size_t bytes) {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  const auto found = allocations.find(memory);
  if (found == allocations.all.end()) return MemoryKind::Pageable;
  const auto before =
      static_cast<std::size_t>(static_cast<const std::byte*>(memory) - found->first);
  if (bytes > found->second.bytes - before) return std::nullopt;
  return found->second.kind;
}

Device* device_of(const void* memory) {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  const auto found = allocations.find(memory);
  return found == allocations.all.end() ? nullptr : found->second.device;
}

cudaError_t allocate(Device& device, void** memory, std::size_t bytes) {
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  const std::size_t whole = round_up(bytes, kAlignment);
  if (whole < bytes || whole > device.description.memory_bytes - device.used_bytes)
    return cudaErrorMemoryAllocation;
  Allocation one;
  one.bytes = bytes;
  one.device = &device;
  one.page_bytes = round_up(whole, kPage);
  void* pages = mmap(nullptr, one.page_bytes + kPage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return cudaErrorMemoryAllocation;
  one.pages = static_cast<std::byte*>(pages);
  // Closing and opening 64 MiB took 2.4 ms with small pages, at each wait of the host.
  madvise(pages, one.page_bytes, MADV_HUGEPAGE);
  std::memset(pages, kPoison, one.page_bytes);
  mprotect(one.pages + one.page_bytes, kPage, PROT_NONE);
  std::byte* const first = one.pages + one.page_bytes - whole;
  forbid(one.pages, one.page_bytes - whole);
  forbid(first + bytes, whole - bytes);
  device.used_bytes += whole;

  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  allocations.all.emplace(first, one);
  allocations.set_access(one);
  *memory = first;
  return cudaSuccess;
}

cudaError_t deallocate(void* memory) {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  const auto found = allocations.all.find(static_cast<const std::byte*>(memory));
  if (found == allocations.all.end() || found->second.kind != MemoryKind::Device)
    return cudaErrorInvalidValue;
  found->second.device->used_bytes -= round_up(found->second.bytes, kAlignment);
  allocations.unmap(found->second);
  allocations.all.erase(found);
  return cudaSuccess;
}

void add_host(void* memory, std::size_t bytes, bool registered) {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  Allocation one;
  one.bytes = bytes;
  one.kind = MemoryKind::Pinned;
  one.registered = registered;
  allocations.all.emplace(static_cast<const std::byte*>(memory), one);
}

bool remove_host(const void* memory, bool registered) {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  const auto found = allocations.all.find(static_cast<const std::byte*>(memory));
  if (found == allocations.all.end() || found->second.kind != MemoryKind::Pinned ||
      found->second.registered != registered)
    return false;
  allocations.all.erase(found);
  return true;
}

void begin_use() {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  ++allocations.users;
  allocations.set_open(true);
}

void end_use() {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  --allocations.users;
}

void close_unused() {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  if (allocations.users == 0) allocations.set_open(false);
}

void free_all(const Device* device) {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  for (auto at = allocations.all.begin(); at != allocations.all.end();) {
    const Allocation& one = at->second;
    if (device != nullptr && one.device != device) {
      ++at;
      continue;
    }
    if (one.kind == MemoryKind::Device) {
      one.device->used_bytes -= round_up(one.bytes, kAlignment);
      allocations.unmap(one);
    } else if (!one.registered) {
      std::free(const_cast<std::byte*>(at->first));
    }
    at = allocations.all.erase(at);
  }
}

void add_memory(Counters& counters) {
  Allocations& allocations = Allocations::get();
  const HiddenLock lock(allocations.mutex);
  for (const auto& [first, one] : allocations.all) {
    const bool on_device = one.kind == MemoryKind::Device;
    (on_device ? counters.device_allocations : counters.host_allocations) += 1;
    (on_device ? counters.device_bytes : counters.host_bytes) +=
        static_cast<std::int64_t>(one.bytes);
  }
}

}  // namespace cuda_emulator
