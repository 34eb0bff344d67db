#include "runtime/exec/gather.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "sharding/error.h"

namespace initrt {

void InPlaceGather::wait_for(std::uint32_t units) {
  if (units <= arrived_) return;
  wait_for_(units);
  arrived_ = units;
}

WholeUnit InPlaceGather::acquire(std::uint32_t unit) {
  wait_for(unit + 1);
  return units_[unit];
}

void InPlaceGather::fetch_rows(std::span<const TokenId> tokens, std::uint32_t,
                               std::span<std::byte> out) {
  wait_for(table_.units_needed());
  pieces_.clear();
  std::byte* to = out.data();
  for (const TokenId token : tokens) {
    for (std::size_t table = 0; table < table_.tables(); ++table) {
      const TableRow row = table_.find(token, table);
      const WholeUnit& unit = units_[row.unit];
      const std::uint64_t bytes = table_.row_bytes(table);
      pieces_.push_back({unit.base + row.rank * unit.stride + row.offset, to, bytes});
      to += bytes;
    }
  }
  device_.copy(pieces_);
}

CollectiveGather::CollectiveGather(const Graph& graph, const Layout& layout, const Cut& cut,
                                   Communicator& comm, Exchange& exchange, DeviceMemory& device,
                                   Arrivals& arrivals, std::span<std::byte> shard,
                                   std::uint32_t slots, std::uint64_t slots_bytes,
                                   std::uint64_t replicated_bytes, Ledger& ledger,
                                   std::span<std::byte> row_buffers, Timeline* timeline)
    : table_(graph, layout, cut),
      cut_(cut),
      comm_(comm),
      exchange_(exchange),
      device_(device),
      arrivals_(arrivals),
      shard_(shard),
      slots_(std::max(slots, 1u)),
      slot_bytes_(slots_bytes / slots_),
      slot_memory_(exchange.allocate(
          device, ledger, std::array<BufferPart, 1>{{{MemoryCategory::Slots, slots_bytes}}})),
      replicated_memory_(exchange.allocate(
          device, ledger,
          std::array<BufferPart, 1>{{{MemoryCategory::Resident, replicated_bytes}}})),
      rows_(table_, cut, comm, exchange, device, shard, row_buffers),
      timeline_(timeline),
      prepared_shard_(exchange.prepare(shard)),
      prepared_slots_(exchange.prepare(slot_memory_.span())),
      slot_free_(slots_),
      gathered_once_(graph.units.size(), false),
      replicated_once_(graph.units.size(), false),
      is_gathered_(graph.units.size(), false) {
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    if (graph.units[unit].kind == UnitKind::Embedding) continue;
    is_gathered_[unit] = true;
    if (!cut.units[unit].resident) ++on_demand_;
  }
}

CollectiveGather::~CollectiveGather() {
  for (const Posted& posted : posted_) {
    if (!posted.gathering) continue;
    try {
      exchange_.finish(posted.gathering);
    } catch (...) {  // NOLINT(bugprone-empty-catch): the failure has been seen; this only waits
    }
  }
}

// A unit of each size, into a slot and in place, and rows from and to every other rank: by size a
// transport chooses the way that it connects and what it runs. Ops asked for before may still read
// what this writes.
void CollectiveGather::warm_up() {
  std::set<std::pair<bool, std::uint64_t>> done;
  for (std::uint32_t unit = 0; unit < cut_.units.size(); ++unit) {
    const UnitCut& placed = cut_.units[unit];
    if (!placed.resident && slot_bytes_ == 0) continue;  // no sweep gathers it
    if (!is_gathered_[unit] || !done.emplace(placed.resident, placed.chunk_bytes).second) continue;
    const std::span<const std::byte> chunk =
        shard_.subspan(cut_.chunk_offset(unit, comm_.rank()), placed.chunk_bytes);
    exchange_.finish(exchange_.start_all_gather(
        {}, device_.fence(), chunk,
        {place(unit, 0), static_cast<std::size_t>(cut_.gathered_bytes(unit))}));
  }
  rows_.warm_up();
}

void CollectiveGather::begin_sweep() {
  sequence_.clear();
  posted_.clear();
  position_ = 0;
}

void CollectiveGather::append(std::span<const std::uint32_t> units) {
  sequence_.insert(sequence_.end(), units.begin(), units.end());
}

void CollectiveGather::agree(std::span<std::byte> wanted) {
  agreed_.resize(wanted.size() * comm_.size());
  comm_.all_gather(wanted, agreed_);
  for (std::size_t i = 0; i < agreed_.size(); ++i) wanted[i % wanted.size()] |= agreed_[i];
}

std::byte* CollectiveGather::place(std::uint32_t unit, std::size_t position) const {
  const UnitCut& placed = cut_.units[unit];
  return placed.resident ? shard_.data() + placed.offset
                         : slot_memory_.data() + position % slots_ * slot_bytes_;
}

void CollectiveGather::post(std::size_t position) {
  const std::uint32_t unit = sequence_[position];
  const UnitCut& placed = cut_.units[unit];
  Posted posted;
  posted.whole = place(unit, position);
  if (!gathered_once_[unit]) {
    const std::span<const std::byte> chunk =
        shard_.subspan(cut_.chunk_offset(unit, comm_.rank()), placed.chunk_bytes);
    posted.gathering = exchange_.start_all_gather(
        [this, unit] { return arrivals_.has(unit); },
        placed.resident ? nullptr : slot_free_[position % slots_], chunk,
        {posted.whole, static_cast<std::size_t>(cut_.gathered_bytes(unit))});
    gathered_once_[unit] = placed.resident;
  }
  posted_.push_back(std::move(posted));
}

WholeUnit CollectiveGather::acquire(std::uint32_t unit) {
  if (position_ >= sequence_.size() || sequence_[position_] != unit) {
    fail("unit {} is acquired out of order", unit);
  }
  // The slot of unit position_ + slots_ - 1 was that of position_ - 1, which has been released:
  // the gather into it begins once the device has come to that point.
  while (posted_.size() < std::min(sequence_.size(), position_ + slots_)) post(posted_.size());
  Posted& posted = posted_[position_];
  if (posted.gathering) {
    exchange_.finish(posted.gathering);
    if (timeline_ != nullptr) {
      measured_.push_back({unit, static_cast<std::uint16_t>(position_ % slots_), posted.gathering});
    }
    posted.gathering = nullptr;
  }
  return {posted.whole, cut_.units[unit].chunk_bytes};
}

void CollectiveGather::release(std::uint32_t unit) {
  if (!cut_.units[unit].resident) slot_free_[position_ % slots_] = device_.fence();
  ++position_;
}

const std::byte* CollectiveGather::own_chunk(std::uint32_t unit) {
  arrivals_.wait(unit + 1);
  return own_place(unit);
}

// A chunk begins with them.
WholeUnit CollectiveGather::replicated(std::uint32_t unit) {
  const std::uint64_t bytes = cut_.units[unit].replicated_bytes;
  std::byte* const whole = replicated_memory_.data() + cut_.units[unit].replicated_offset;
  if (!replicated_once_[unit] && bytes > 0) {
    const std::byte* const own = own_chunk(unit);
    exchange_.finish(
        exchange_.start_all_gather({}, nullptr, {own, bytes}, {whole, bytes * comm_.size()}));
  }
  replicated_once_[unit] = true;
  return {whole, bytes};
}

void CollectiveGather::record_times() {
  for (const Measured& measured : measured_) {
    timeline_->add({measured.gathering->interval(), cut_.gathered_bytes(measured.unit),
                    measured.unit, measured.slot, Lane::Gather});
  }
  measured_.clear();
}

// What has been posted is whole once it has been acquired, and the sweep so far acquired it all.
bool CollectiveGather::settled() const {
  return on_demand_ == 0 && position_ == posted_.size() && gathered_once_ == is_gathered_;
}

void CollectiveGather::fetch_rows(std::span<const TokenId> tokens, std::uint32_t most_rows,
                                  std::span<std::byte> out) {
  arrivals_.wait(table_.units_needed());
  rows_.fetch(tokens, most_rows, out);
}

}  // namespace initrt
