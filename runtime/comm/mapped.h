// One node's ranks as one memory: each rank's shard is a file in memory, and every rank maps all of
// them at one stride, so that a unit's chunks are at that stride too, and a gather moves no bytes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/comm/exchange.h"
#include "runtime/comm/forwarding.h"
#include "runtime/device/host_memory.h"
#include "sharding/layout.h"

namespace initrt {

/// What ranks share beside their chunks; at the end of each rank's file. Lock-free by necessity.
struct MappedControl;

/// The shared memory of a world on one node. Built by all ranks at once.
class MappedMemory {
 public:
  /// @param base carries the set-up; outlives this
  /// @param row_bytes of each rank, for MappedRows
  /// @throws Error where a rank is on another node or the kernel refuses
  MappedMemory(Communicator& base, const Cut& cut, Ledger& ledger, std::uint64_t row_bytes = 0);
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

  /// This rank's memory for rows, writable.
  [[nodiscard]] std::span<std::byte> own_rows() const {
    return {shard_ + rows_offset_, row_bytes_};
  }
  /// Another's, read-only.
  [[nodiscard]] const std::byte* rows(std::uint32_t rank) const {
    return shards_ + rank * shard_stride_ + rows_offset_;
  }
  /// Where that rank's parts for each rank begin in its memory for rows, of one of two exchanges.
  [[nodiscard]] std::uint64_t* row_offsets(std::uint32_t rank, std::size_t parity) const;

 private:
  Communicator& base_;
  std::uint64_t shard_bytes_ = 0, row_bytes_ = 0;
  std::uint64_t rows_offset_ = 0;   // in each rank's file
  std::uint64_t shard_stride_ = 0;  // from one rank's file to the next's, as mapped
  std::byte* shard_ = nullptr;      // in own_
  Mapping own_;                     // this rank's whole file, writable
  Mapping whole_;                   // the address range of all shards
  const std::byte* shards_ = nullptr;
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

/// Rows between the ranks of a node: a rank reads what another sends where it lies, once it is
/// there. One for each memory.
class MappedRows final : public RowLink {
 public:
  /// Both outlive this. @param spin whether ranks have cores of their own to wait on
  MappedRows(Communicator& base, MappedMemory& memory, bool spin)
      : base_(base), memory_(memory), spin_(spin) {}

  /// @throws Error for a part that is not in memory of allocate()
  void send_receive(PartsToSend out, PartsToReceive in) override;
  /// Once; of the memory that was planned for rows.
  [[nodiscard]] Buffer allocate(DeviceMemory& device, Ledger& ledger,
                                std::span<const BufferPart> parts) override;

 private:
  Communicator& base_;
  MappedMemory& memory_;
  const bool spin_;
  std::uint32_t epoch_ = 0;
};

}  // namespace initrt
