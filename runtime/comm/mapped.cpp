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
#include "runtime/comm/shared_file.h"
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

// Waits until another rank has come to `epoch`. @throws Error once base.check() does
// @param spins looks at it before this thread sleeps
void wait_for(Counter& counter, std::uint32_t epoch, int spins, Communicator& base) {
  for (std::uint32_t seen = counter.value.load(std::memory_order_acquire);
       static_cast<std::int32_t>(seen - epoch) < 0;
       seen = counter.value.load(std::memory_order_acquire)) {
    if (spins-- > 0) {
      cpu_relax();
      continue;
    }
    counter.sleep(seen);
    base.check();
  }
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
  alignas(64) Counter rows;       ///< exchanges of rows this rank has entered
  // By parity of the epoch: a rank enters epoch e + 2 only after all entered e + 1, which each does
  // after it has read e.
  alignas(64) std::array<std::array<std::byte, kMessageBytes>, 2> message;
};
static_assert(sizeof(MappedControl) <= kPage);

// A rank's shared file: its shard, its control page and what it tells of rows, its rows.
MappedMemory::MappedMemory(Communicator& base, const Cut& cut, Ledger& ledger,
                           std::uint64_t row_bytes)
    : base_(base), shard_bytes_(cut.memory_bytes()), row_bytes_(row_bytes) {
  const std::uint64_t control_offset = round_up(shard_bytes_, kPage);
  const std::uint64_t control_bytes =
      round_up(kPage + 2 * sizeof(std::uint64_t) * cut.world, kPage);
  rows_offset_ = control_offset + control_bytes;
  const std::uint64_t file_bytes = round_up(rows_offset_ + row_bytes, kPage);
  const Descriptor mine = make_shared_file(file_bytes);
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
  shard_stride_ = round_up(file_bytes, kHugePage);
  whole_ = map(nullptr, cut.world * shard_stride_ + kHugePage, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const auto start = reinterpret_cast<std::uintptr_t>(whole_.data());
  std::byte* const aligned = whole_.data() + (kHugePage - start % kHugePage) % kHugePage;
  for (std::uint32_t rank = 0; rank < cut.world; ++rank) {
    std::byte* const where = aligned + rank * shard_stride_;
    if (mmap(where, file_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, all[rank].get(), 0) ==
        MAP_FAILED) {
      fail_mapping("mapping another rank's shard of", file_bytes);
    }
    madvise(where, control_offset, MADV_HUGEPAGE);
  }
  shards_ = aligned;
  for (const UnitCut& unit : cut.units) {
    units_.push_back(
        {aligned + unit.offset, shard_stride_ + (unit.resident ? unit.chunk_bytes : 0)});
  }
  for (const Descriptor& descriptor : all) {
    controls_.push_back(map(nullptr, control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                            descriptor.get(), control_offset));
  }
  entries_ = {LedgerEntry(ledger, MemoryCategory::Shard, cut.chunks_bytes),
              LedgerEntry(ledger, MemoryCategory::Resident, cut.resident_bytes)};
}

MappedMemory::~MappedMemory() = default;

MappedControl& MappedMemory::control(std::uint32_t rank) const {
  return *reinterpret_cast<MappedControl*>(controls_[rank].data());
}

std::uint64_t* MappedMemory::row_offsets(std::uint32_t rank, std::size_t parity) const {
  return reinterpret_cast<std::uint64_t*>(controls_[rank].data() + kPage) +
         parity * controls_.size();
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

Buffer MappedRows::allocate(DeviceMemory&, Ledger& ledger, std::span<const BufferPart> parts) {
  const std::span<std::byte> rows = memory_.own_rows();
  if (bytes_of(parts) != rows.size()) {
    fail("mapped memory: {} are asked for, planned were {} bytes", describe(parts), rows.size());
  }
  return {ledger, parts, rows.data(), [](std::byte*) {}};
}

void MappedRows::send_receive(PartsToSend out, PartsToReceive in) {
  ++epoch_;
  const std::size_t parity = epoch_ % 2;
  const std::uint32_t ranks = base_.size(), rank = base_.rank();
  const std::span<const std::byte> own = memory_.own_rows();
  std::uint64_t* const offsets = memory_.row_offsets(rank, parity);
  for (std::uint32_t peer = 0; peer < ranks; ++peer) {
    const std::span<const std::byte> part = out[peer];
    if (part.empty() || peer == rank) continue;
    if (part.data() < own.data() || part.data() + part.size() > own.data() + own.size()) {
      fail("mapped memory: rows are sent from memory that other ranks do not map");
    }
    offsets[peer] = static_cast<std::uint64_t>(part.data() - own.data());
  }
  memory_.control(rank).rows.raise(epoch_);
  // All are waited for, also those who send nothing: once they are here, what was sent before has
  // been read, and may be written again.
  for (std::uint32_t distance = 1; distance < ranks; ++distance) {
    const std::uint32_t peer = (rank + distance) % ranks;
    wait_for(memory_.control(peer).rows, epoch_, spin_ ? kSpins : 0, base_);
    const std::uint64_t offset = memory_.row_offsets(peer, parity)[rank];
    std::copy_n(memory_.rows(peer) + offset, in[peer].size(), in[peer].data());
  }
  if (in[rank].data() != out[rank].data()) {
    std::copy_n(out[rank].data(), in[rank].size(), in[rank].data());
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
    wait_for(other.epoch, epoch_, spin_ ? kSpins : 0, base());
    std::copy_n(other.message[parity].begin(), mine.size(), all.begin() + peer * mine.size());
  }
}

}  // namespace initrt
