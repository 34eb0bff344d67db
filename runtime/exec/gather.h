// How the forward pass gets at whole units. It does not know which kind is under it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/exchange.h"
#include "runtime/device/memory.h"
#include "runtime/device/timeline.h"
#include "runtime/exec/row_exchange.h"
#include "runtime/load/arrivals.h"
#include "sharding/layout.h"

namespace initrt {

/// All ranks run the same sequence of begin_sweep, append, fetch_rows, agree, acquire and release.
class Gather {
 public:
  virtual ~Gather() = default;

  /// A new pass over the units.
  virtual void begin_sweep() = 0;
  /// The units that come next (indices), in the order in which they will be acquired. What is not
  /// known yet, which experts follow, is not prefetched.
  virtual void append(std::span<const std::uint32_t> units) = 0;

  /// Makes wanted[i] what any rank wants, where gathering takes all ranks; 0 or 1, any number of
  /// them, the same on all ranks.
  virtual void agree(std::span<std::byte> wanted) = 0;

  /// The whole unit in the device's memory, for ops asked for until release(). Returns once all
  /// its chunks have arrived, though the device may still have to wait for it. Units are acquired
  /// in the order in which they were appended, one at a time.
  virtual WholeUnit acquire(std::uint32_t unit) = 0;
  virtual void release(std::uint32_t unit) = 0;

  /// This rank's chunk of a unit, once it has arrived.
  virtual const std::byte* own_chunk(std::uint32_t unit) = 0;
  /// The same before it has arrived, for warm-up.
  [[nodiscard]] virtual const std::byte* own_place(std::uint32_t unit) const = 0;
  /// Of a unit that lies whole nowhere its replicated parameters, to be read as of a whole unit.
  /// All ranks ask for the same units in the same order.
  virtual WholeUnit replicated(std::uint32_t unit) = 0;

  /// A buffer of the unit's size with undefined contents, for warm-up.
  [[nodiscard]] virtual WholeUnit place_of(std::uint32_t unit) const = 0;

  /// Once moves what gathering moves, whatever it holds, so that what transports make on first use
  /// is there. Collective.
  virtual void warm_up() = 0;

  /// Whether every unit is whole, and will be in the same place whenever it is acquired.
  [[nodiscard]] virtual bool settled() const = 0;

  /// @throws Error if what the device waits for will never come.
  virtual void check() = 0;

  /// Tells the timeline, where there is one, when the units that have been acquired were gathered.
  /// The device has been synchronized.
  virtual void record_times() = 0;

  /// Copies the embedding rows of `tokens` to `out`, of the device, dense, in the layout's dtype.
  /// @param most_rows the most tokens that any rank asks for in this call
  virtual void fetch_rows(std::span<const TokenId> tokens, std::uint32_t most_rows,
                          std::span<std::byte> out) = 0;
};

/// Whole units are addressable as they are: one rank's own memory, or mapped memory.
class InPlaceGather final : public Gather {
 public:
  /// @param device outlives the gather
  /// @param units each whole unit
  /// @param wait_for blocks until the first n units have arrived on all ranks
  InPlaceGather(const Graph& graph, const Layout& layout, const Cut& cut, DeviceMemory& device,
                std::vector<WholeUnit> units, std::uint32_t rank,
                std::function<void(std::uint32_t)> wait_for)
      : table_(graph, layout, cut),
        rank_(rank),
        device_(device),
        units_(std::move(units)),
        wait_for_(std::move(wait_for)) {}

  void begin_sweep() override {}
  void append(std::span<const std::uint32_t>) override {}
  void agree(std::span<std::byte>) override {}
  WholeUnit acquire(std::uint32_t unit) override;
  void release(std::uint32_t) override {}
  const std::byte* own_chunk(std::uint32_t unit) override {
    wait_for(unit + 1);
    return own_place(unit);
  }
  const std::byte* own_place(std::uint32_t unit) const override {
    return units_[unit].base + rank_ * units_[unit].stride;
  }
  WholeUnit replicated(std::uint32_t unit) override { return acquire(unit); }
  WholeUnit place_of(std::uint32_t unit) const override { return units_[unit]; }
  void warm_up() override {}
  bool settled() const override { return arrived_ == units_.size(); }
  void check() override {}
  void record_times() override {}  // nothing moves
  void fetch_rows(std::span<const TokenId> tokens, std::uint32_t most_rows,
                  std::span<std::byte> out) override;

 private:
  void wait_for(std::uint32_t units);

  const EmbeddingTable table_;
  const std::uint32_t rank_;
  DeviceMemory& device_;
  const std::vector<WholeUnit> units_;
  const std::function<void(std::uint32_t)> wait_for_;
  std::uint32_t arrived_ = 0;      // that have been waited for
  std::vector<CopyPiece> pieces_;  // of fetch_rows(), kept from sweep to sweep
};

/// Units are all-gathered from the ranks' chunks into slots, `prefetch` ahead of use; resident
/// units are gathered once, in place. A gather is posted once this rank's chunk has arrived.
class CollectiveGather final : public Gather {
 public:
  /// @param exchange what units and rows go through; `comm` carries what is agreed
  /// @param shard this rank's shard memory, as cut
  /// @param slots units under way or in use at once, each in slots_bytes / slots; none: all
  /// resident, or none is gathered
  /// @param replicated_bytes for the replicated parameters of all units; 0: they are not asked for
  /// @param row_buffers for rows on their way: room for two times the rows of a sweep
  /// @param timeline told of every unit that is gathered; outlives this, may be null
  CollectiveGather(const Graph& graph, const Layout& layout, const Cut& cut, Communicator& comm,
                   Exchange& exchange, DeviceMemory& device, Arrivals& arrivals,
                   std::span<std::byte> shard, std::uint32_t slots, std::uint64_t slots_bytes,
                   std::uint64_t replicated_bytes, Ledger& ledger, std::span<std::byte> row_buffers,
                   Timeline* timeline = nullptr);
  CollectiveGather(const CollectiveGather&) = delete;
  CollectiveGather& operator=(const CollectiveGather&) = delete;
  /// Transfers under way hold on to this memory: the world must be at rest or have failed.
  ~CollectiveGather() override;

  void begin_sweep() override;
  void append(std::span<const std::uint32_t> units) override;
  void agree(std::span<std::byte> wanted) override;
  WholeUnit acquire(std::uint32_t unit) override;
  void release(std::uint32_t unit) override;
  const std::byte* own_chunk(std::uint32_t unit) override;
  const std::byte* own_place(std::uint32_t unit) const override {
    return shard_.data() + cut_.chunk_offset(unit, comm_.rank());
  }
  WholeUnit replicated(std::uint32_t unit) override;
  WholeUnit place_of(std::uint32_t unit) const override {
    return {place(unit, 0), cut_.units[unit].chunk_bytes};
  }
  void warm_up() override;
  bool settled() const override;
  void check() override { exchange_.check(); }
  void record_times() override;
  void fetch_rows(std::span<const TokenId> tokens, std::uint32_t most_rows,
                  std::span<std::byte> out) override;

 private:
  struct Posted {
    std::byte* whole = nullptr;
    GatheringHandle gathering;  // empty once finished, and for a resident unit gathered before
  };
  struct Measured {
    std::uint32_t unit = 0;
    std::uint16_t slot = 0;  // resident units count as in one of them
    GatheringHandle gathering;
  };

  [[nodiscard]] std::byte* place(std::uint32_t unit, std::size_t position) const;
  void post(std::size_t position);

  const EmbeddingTable table_;
  const Cut& cut_;
  Communicator& comm_;
  Exchange& exchange_;
  DeviceMemory& device_;
  Arrivals& arrivals_;
  const std::span<std::byte> shard_;
  const std::uint32_t slots_;
  const std::uint64_t slot_bytes_;
  Buffer slot_memory_;
  Buffer replicated_memory_;
  RowExchange rows_;
  Timeline* const timeline_;

  std::vector<std::uint32_t> sequence_;
  std::vector<Posted> posted_;                                   // a prefix of sequence_
  std::size_t position_ = 0;                                     // of the next unit to acquire
  std::vector<Measured> measured_;                               // finished, for record_times()
  const std::shared_ptr<void> prepared_shard_, prepared_slots_;  // go before the memory does
  std::vector<FenceHandle> slot_free_;  // the device has done with what was in the slot
  std::vector<bool> gathered_once_;     // resident units that are whole, or will be
  std::vector<bool> replicated_once_;   // units whose replicated parameters are
  std::vector<bool> is_gathered_;       // units that are gathered at all
  std::uint32_t on_demand_ = 0;         // how many of them are not resident
  std::vector<std::byte> agreed_;       // of agree(), kept from sweep to sweep
};

}  // namespace initrt
