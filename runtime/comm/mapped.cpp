#include "runtime/comm/mapped.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "runtime/comm/descriptor_exchange.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kHugePage = 2u << 20;
constexpr std::size_t kMessageBytes = 1024;
constexpr int kSpins = 2000;  // some tens of microseconds

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
  return (value + step - 1) / step * step;
}

static_assert(sizeof(std::atomic<std::uint32_t>) == 4 &&
              std::atomic<std::uint32_t>::is_always_lock_free);

// A count that one rank raises and all may sleep on.
struct Counter {
  std::atomic<std::uint32_t> value;
  std::atomic<std::uint32_t> sleepers;

  void raise(std::uint32_t to) {
    value.store(to);
    // Both orders are total: a sleeper not seen here sees the new value before it sleeps.
    if (sleepers.load() > 0) syscall(SYS_futex, &value, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  // Sleeps while the value is `seen`, 20 ms at the most: the caller looks for failures in between.
  void sleep(std::uint32_t seen) {
    const timespec limit{0, 20'000'000};
    ++sleepers;
    syscall(SYS_futex, &value, FUTEX_WAIT, seen, &limit, nullptr, 0);
    --sleepers;
  }
};

void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

[[noreturn]] void fail_mapping(const char* what, std::uint64_t bytes) {
  const std::string reason = std::strerror(errno);
  throw ResourceError(Resource::Memory,
                      fmt::format("mapped memory: {} {} bytes: {}", what, bytes, reason));
}

Mapping map(void* where, std::uint64_t bytes, int protection, int flags, int fd,
            std::uint64_t offset) {
  void* address = mmap(where, bytes, protection, flags, fd, static_cast<off_t>(offset));
  if (address == MAP_FAILED) {
    fail_mapping("mapping", bytes);
  }
  return {address, bytes};
}

}  // namespace

struct MappedControl {
  alignas(64) Counter published;  ///< units whose chunk is there
  alignas(64) Counter epoch;      ///< all-gathers this rank has entered
  // By parity of the epoch: a rank enters epoch e + 2 only after all entered e + 1, which each does
  // after it has read e.
  alignas(64) std::array<std::array<std::byte, kMessageBytes>, 2> message;
};
static_assert(sizeof(MappedControl) <= kPage);

MappedMemory::MappedMemory(Communicator& base, const Cut& cut, Ledger& ledger)
    : base_(base), shard_bytes_(cut.memory_bytes()) {
  const std::uint64_t control_offset = round_up(shard_bytes_, kPage);
  const std::uint64_t file_bytes = control_offset + kPage;
  const Descriptor mine(memfd_create("initrt-shard", MFD_CLOEXEC));
  if (mine.get() < 0 || ftruncate(mine.get(), static_cast<off_t>(file_bytes)) != 0) {
    fail_mapping("a shared shard of", file_bytes);
  }
  // From a huge page's boundary, as the file's huge pages must lie in memory to be touched as such.
  own_ = map(nullptr, file_bytes + kHugePage, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const auto own_start = reinterpret_cast<std::uintptr_t>(own_.data());
  shard_ = own_.data() + (kHugePage - own_start % kHugePage) % kHugePage;
  if (mmap(shard_, file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, mine.get(), 0) ==
      MAP_FAILED) {
    fail_mapping("mapping", file_bytes);
  }
  madvise(shard_, control_offset, MADV_HUGEPAGE);  // refused where shmem has no huge pages
  const std::vector<Descriptor> all = exchange_descriptors(base, mine.get());

  // One reservation for all shards, each from a huge page's boundary.
  const std::uint64_t shard_stride = round_up(control_offset, kHugePage);
  whole_ = map(nullptr, cut.world * shard_stride + kHugePage, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const auto start = reinterpret_cast<std::uintptr_t>(whole_.data());
  std::byte* const aligned = whole_.data() + (kHugePage - start % kHugePage) % kHugePage;
  for (std::uint32_t rank = 0; rank < cut.world && control_offset > 0; ++rank) {
    std::byte* const where = aligned + rank * shard_stride;
    if (mmap(where, control_offset, PROT_READ, MAP_SHARED | MAP_FIXED, all[rank].get(), 0) ==
        MAP_FAILED) {
      fail_mapping("mapping another rank's shard of", control_offset);
    }
    madvise(where, control_offset, MADV_HUGEPAGE);
  }
  for (const UnitCut& unit : cut.units) {
    units_.push_back(
        {aligned + unit.offset, shard_stride + (unit.resident ? unit.chunk_bytes : 0)});
  }
  for (const Descriptor& descriptor : all) {
    controls_.push_back(
        map(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), control_offset));
  }
  entries_ = {LedgerEntry(ledger, MemoryCategory::Shard, cut.chunks_bytes),
              LedgerEntry(ledger, MemoryCategory::Resident, cut.resident_bytes)};
}

MappedMemory::~MappedMemory() = default;

MappedControl& MappedMemory::control(std::uint32_t rank) const {
  return *reinterpret_cast<MappedControl*>(controls_[rank].data());
}

void MappedMemory::publish(std::uint32_t units) { control(base_.rank()).published.raise(units); }

std::uint32_t MappedMemory::published() const {
  std::uint32_t least = UINT_MAX;
  for (std::uint32_t rank = 0; rank < base_.size(); ++rank) {
    least = std::min(least, control(rank).published.value.load(std::memory_order_acquire));
  }
  return least;
}

void MappedMemory::wait_published(std::uint32_t units, const std::function<void()>& check) const {
  for (std::uint32_t rank = 0; rank < base_.size(); ++rank) {
    Counter& count = control(rank).published;
    for (std::uint32_t seen = count.value.load(std::memory_order_acquire); seen < units;
         seen = count.value.load(std::memory_order_acquire)) {
      count.sleep(seen);
      check();
      base_.check();
    }
  }
}

void MappedCommunicator::all_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  if (mine.size() > kMessageBytes) {
    base().all_gather(mine, all);
    return;
  }
  ++epoch_;
  const std::size_t parity = epoch_ % 2;
  MappedControl& own = memory_.control(rank());
  std::copy(mine.begin(), mine.end(), own.message[parity].begin());
  own.epoch.raise(epoch_);
  for (std::uint32_t peer = 0; peer < size(); ++peer) {
    MappedControl& other = memory_.control(peer);
    int spins = spin_ ? kSpins : 0;
    for (std::uint32_t seen = other.epoch.value.load(std::memory_order_acquire);
         static_cast<std::int32_t>(seen - epoch_) < 0;
         seen = other.epoch.value.load(std::memory_order_acquire)) {
      if (spins-- > 0) {
        cpu_relax();
        continue;
      }
      other.epoch.sleep(seen);
      base().check();
    }
    std::copy_n(other.message[parity].begin(), mine.size(), all.begin() + peer * mine.size());
  }
}

}  // namespace initrt
