// One node's ranks as one memory: each rank's shard is a memfd that every rank maps, so that each
// unit is one contiguous address range made of N chunks, and a gather moves no bytes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/comm/communicator.h"
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
  [[nodiscard]] const std::byte* unit(std::uint32_t unit) const { return units_[unit]; }

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
  Mapping whole_;               // the address range of all units
  std::vector<const std::byte*> units_;
  std::vector<Mapping> controls_;  // by rank; own included
  std::array<LedgerEntry, 2> entries_;
};

/// Small all-gathers through that memory instead of the transport below: no system call where the
/// others are already there and nobody sleeps, a futex where not. Everything else goes to `base`.
class MappedCommunicator final : public Communicator {
 public:
  /// Both outlive this. One for each memory: it counts the all-gathers that the memory has seen.
  MappedCommunicator(Communicator& base, MappedMemory& memory, bool spin)
      : base_(base), memory_(memory), spin_(spin) {}

  [[nodiscard]] std::uint32_t rank() const override { return base_.rank(); }
  [[nodiscard]] std::uint32_t size() const override { return base_.size(); }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  void all_to_all(std::span<const std::byte> out, std::span<const std::uint64_t> out_bytes,
                  std::span<std::byte> in, std::span<const std::uint64_t> in_bytes) override {
    base_.all_to_all(out, out_bytes, in, in_bytes);
  }
  void broadcast(std::vector<std::byte>& data, std::uint32_t root) override {
    base_.broadcast(data, root);
  }
  TransferHandle start_all_gather(std::function<bool()> ready, std::span<const std::byte> chunk,
                                  std::span<std::byte> whole) override {
    return base_.start_all_gather(std::move(ready), chunk, whole);
  }
  Interval wait(const TransferHandle& transfer) override { return base_.wait(transfer); }
  void check() override { base_.check(); }
  void note_progress(Stage stage, std::uint32_t unit) override { base_.note_progress(stage, unit); }
  void fail_world(const std::string& message) override { base_.fail_world(message); }

 private:
  Communicator& base_;
  MappedMemory& memory_;
  const bool spin_;
  std::uint32_t epoch_ = 0;
};

}  // namespace initrt
