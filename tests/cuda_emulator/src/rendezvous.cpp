// Ranks meet. Fresh shared memory is zero, which is a valid state of everything here, so that it
// does not matter who makes it.
#include "rendezvous.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace cuda_emulator {

struct Rendezvous::Header {
  static constexpr int kMaxRanks = 1024;
  std::atomic<std::int32_t> ranks;
  std::atomic<std::int32_t> joined;
  std::atomic<std::uint8_t> taken[kMaxRanks];
};

std::size_t Channel::write(const std::byte* from, std::size_t bytes) {
  const std::uint64_t at = written.load(std::memory_order_relaxed);
  const std::uint64_t room = kBytes - (at - read.load(std::memory_order_acquire));
  const std::size_t first = at % kBytes;
  const std::size_t count = std::min({bytes, static_cast<std::size_t>(room), kBytes - first});
  if (count == 0) return 0;
  std::memcpy(ring + first, from, count);
  written.store(at + count, std::memory_order_release);
  return count;
}

std::size_t Channel::take(std::byte* to, std::size_t bytes) {
  const std::uint64_t at = read.load(std::memory_order_relaxed);
  const std::uint64_t there = written.load(std::memory_order_acquire) - at;
  const std::size_t first = at % kBytes;
  const std::size_t count = std::min({bytes, static_cast<std::size_t>(there), kBytes - first});
  if (count == 0) return 0;
  std::memcpy(to, ring + first, count);
  read.store(at + count, std::memory_order_release);
  return count;
}

Rendezvous::~Rendezvous() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

Rendezvous::Header& Rendezvous::header() const { return *static_cast<Header*>(memory_); }

Channel& Rendezvous::channel(int from, int to) {
  auto* channels = reinterpret_cast<Channel*>(static_cast<std::byte*>(memory_) + sizeof(Header));
  return channels[from * ranks_ + to];
}

Rendezvous::Joined Rendezvous::join(const std::string& name, int ranks, int rank) {
  name_ = "/" + name;
  ranks_ = ranks;
  const auto count = static_cast<std::size_t>(ranks);
  bytes_ = sizeof(Header) + count * count * sizeof(Channel);
  const int file = shm_open(name_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) return Joined::NoMemory;
  void* memory = MAP_FAILED;
  if (ftruncate(file, static_cast<off_t>(bytes_)) == 0)
    memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) return Joined::NoMemory;
  memory_ = memory;
  std::int32_t none = 0;
  if (!header().ranks.compare_exchange_strong(none, ranks) && none != ranks)
    return Joined::OtherSize;
  if (header().taken[rank].exchange(1) != 0) return Joined::RankTaken;
  ++header().joined;
  return Joined::Yes;
}

bool Rendezvous::complete() const { return header().joined == ranks_; }

void Rendezvous::close() { shm_unlink(name_.c_str()); }

}  // namespace cuda_emulator
