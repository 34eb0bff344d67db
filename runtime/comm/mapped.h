// One node's ranks as one memory: each rank's shard is a memfd, and every rank maps all of them at
// one stride, so that a unit's chunks are at that stride too, and a gather moves no bytes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/comm/forwarding.h"
#include "runtime/device/host_memory.h"
#include "sharding/layout.h"

namespace initrt {

/// What ranks share beside their chunks; at the end of each rank's memfd. Lock-free by necessity.
struct MappedControl;

/// The shared memory of a world on one node. Built by all ranks at once.
class MappedMemory {
 public:
  /// @param base carries the set-up; outlives this
  /// @throws Error where a rank is on another node or the kernel refuses
  MappedMemory(Communicator& base, const Cut& cut, Ledger& ledger);
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;
  ~MappedMemory();

  /// This rank's shard memory, writable, zero at first. Huge pages where they are to be had.
  [[nodiscard]] std::span<std::byte> shard() const { return {shard_, shard_bytes_}; }

  /// A whole unit, read-only. A chunk may be read once its rank has published it.
  [[nodiscard]] WholeUnit unit(std::uint32_t unit) const { return units_[unit]; }

  /// Tells all ranks that this rank's chunks of the first `units` units are there.
  void publish(std::uint32_t units);
  /// How many units every rank has published.
  [[nodiscard]] std::uint32_t published() const;
  /// Waits until every rank has published `units` units. @throws Error once base.check() does, or
  /// what `check` throws.
  void wait_published(std::uint32_t units, const std::function<void()>& check) const;

  [[nodiscard]] MappedControl& control(std::uint32_t rank) const;

 private:
  Communicator& base_;
  std::uint64_t shard_bytes_ = 0;
  std::byte* shard_ = nullptr;  // in own_
  Mapping own_;                 // this rank's whole memfd, writable
  Mapping whole_;               // the address range of all shards
  std::vector<WholeUnit> units_;
  std::vector<Mapping> controls_;  // by rank; own included
  std::array<LedgerEntry, 2> entries_;
};

/// Small all-gathers through that memory instead of the transport below: no system call where the
/// others are already there and nobody sleeps, a futex where not. Everything else goes to `base`.
class MappedCommunicator final : public ForwardingCommunicator {
 public:
  /// Both outlive this. One for each memory: it counts the all-gathers that the memory has seen.
  MappedCommunicator(Communicator& base, MappedMemory& memory, bool spin)
      : ForwardingCommunicator(base), memory_(memory), spin_(spin) {}

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override;

 private:
  MappedMemory& memory_;
  const bool spin_;
  std::uint32_t epoch_ = 0;
};

}  // namespace initrt
