#include "runtime/exec/gather.h"

#include <algorithm>
#include <optional>

#include "sharding/error.h"
#include "sharding/memory_plan.h"

namespace initrt {

EmbeddingTable::EmbeddingTable(const Graph& graph, const Layout& layout)
    : row_bytes_(embedding_row_bytes(graph, layout)) {
  for (const TableTile& tile : graph.embedding) {
    tiles_.push_back({graph.units[tile.unit].params[tile.param].row_begin,
                      {tile.unit, layout.units[tile.unit].params[tile.param].offset}});
    units_needed_ = std::max(units_needed_, tile.unit + 1);
  }
}

TableRow EmbeddingTable::find(TokenId token) const {
  const auto row = static_cast<std::uint64_t>(token);
  const auto after =
      std::upper_bound(tiles_.begin(), tiles_.end(), row,
                       [](std::uint64_t r, const Tile& t) { return r < t.row_begin; });
  const Tile& tile = *std::prev(after);
  return {tile.start.unit, tile.start.offset + (row - tile.row_begin) * row_bytes_};
}

void InPlaceGather::wait_for(std::uint32_t units) {
  if (units <= arrived_) return;
  wait_for_(units);
  arrived_ = units;
}

const std::byte* InPlaceGather::acquire(std::uint32_t unit) {
  wait_for(unit + 1);
  return units_[unit];
}

void InPlaceGather::fetch_rows(std::span<const TokenId> tokens, std::uint32_t,
                               std::span<std::byte> out) {
  wait_for(table_.units_needed());
  std::vector<CopyPiece> pieces;
  std::byte* to = out.data();
  for (const TokenId token : tokens) {
    const TableRow row = table_.find(token);
    pieces.push_back({units_[row.unit] + row.offset, to, table_.row_bytes()});
    to += table_.row_bytes();
  }
  device_.copy(pieces);
}

CollectiveGather::CollectiveGather(const Graph& graph, const Layout& layout, const Cut& cut,
                                   Communicator& comm, Exchange& exchange, Device& device,
                                   Arrivals& arrivals, std::span<std::byte> shard,
                                   std::uint32_t slots, std::uint64_t slots_bytes, Ledger& ledger,
                                   std::span<std::byte> row_buffers, Timeline* timeline)
    : table_(graph, layout),
      cut_(cut),
      comm_(comm),
      exchange_(exchange),
      device_(device),
      arrivals_(arrivals),
      shard_(shard),
      slots_(std::max(slots, 1u)),
      slot_bytes_(slots_bytes / slots_),
      slot_memory_(allocate(device, ledger, MemoryCategory::Slots, slots_bytes)),
      row_buffers_(row_buffers),
      timeline_(timeline),
      prepared_shard_(exchange.prepare(shard)),
      prepared_slots_(exchange.prepare(slot_memory_.span())),
      slot_free_(slots_),
      gathered_once_(graph.units.size(), false),
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

// The largest unit of each kind, into a slot and in place, and rows from and to every other rank.
// Ops asked for before may still read what this writes.
void CollectiveGather::warm_up() {
  for (const bool resident : {false, true}) {
    std::optional<std::uint32_t> largest;
    for (std::uint32_t unit = 0; unit < cut_.units.size(); ++unit) {
      if (!is_gathered_[unit] || cut_.units[unit].resident != resident) continue;
      if (!largest || cut_.gathered_bytes(unit) > cut_.gathered_bytes(*largest)) largest = unit;
    }
    if (!largest) continue;
    const std::span<const std::byte> chunk =
        shard_.subspan(cut_.chunk_offset(*largest, comm_.rank()), cut_.units[*largest].chunk_bytes);
    exchange_.finish(exchange_.start_all_gather(
        {}, device_.fence(), chunk,
        {place(*largest, 0), static_cast<std::size_t>(cut_.gathered_bytes(*largest))}));
  }
  const std::size_t half = row_buffers_.size() / 2;
  const std::size_t bytes = std::min<std::size_t>(half, 256);
  for (std::uint32_t k = 1; k < comm_.size(); ++k) {
    exchange_.send_receive(row_buffers_.first(bytes), (comm_.rank() + k) % comm_.size(),
                           row_buffers_.subspan(half, bytes),
                           (comm_.rank() + comm_.size() - k) % comm_.size());
  }
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
  std::vector<std::byte> all(wanted.size() * comm_.size());
  comm_.all_gather(wanted, all);
  for (std::size_t i = 0; i < all.size(); ++i) wanted[i % wanted.size()] |= all[i];
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

const std::byte* CollectiveGather::acquire(std::uint32_t unit) {
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
  return posted.whole;
}

void CollectiveGather::release(std::uint32_t unit) {
  if (!cut_.units[unit].resident) slot_free_[position_ % slots_] = device_.fence();
  ++position_;
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

// Calls visit(index of the token, bytes into its row, bytes into the owner's chunk, chunk's unit,
// length) for every part of the tokens' rows that `owner` holds; returns the sum of the lengths.
template <class Visit>
std::size_t CollectiveGather::for_each_part(std::span<const TokenId> tokens, std::uint32_t owner,
                                            Visit visit) const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const TableRow row = table_.find(tokens[i]);
    const std::uint64_t begin = owner * cut_.units[row.unit].chunk_bytes;
    const std::uint64_t end = begin + cut_.units[row.unit].chunk_bytes;
    const std::uint64_t from = std::max(row.offset, begin);
    const std::uint64_t until = std::min(row.offset + table_.row_bytes(), end);
    if (from >= until) continue;
    visit(i, from - row.offset, from - begin, row.unit, until - from);
    sum += until - from;
  }
  return sum;
}

std::size_t CollectiveGather::part_bytes(std::span<const TokenId> tokens,
                                         std::uint32_t owner) const {
  return for_each_part(tokens, owner, [](auto...) {});
}

std::size_t CollectiveGather::pack(std::span<const TokenId> tokens, std::span<std::byte> packed) {
  std::vector<CopyPiece> pieces;
  std::byte* to = packed.data();
  const std::size_t bytes_packed =
      for_each_part(tokens, comm_.rank(),
                    [&](std::size_t, std::uint64_t, std::uint64_t in_chunk, std::uint32_t unit,
                        std::uint64_t bytes) {
                      const std::uint64_t chunk = cut_.chunk_offset(unit, comm_.rank());
                      pieces.push_back({shard_.data() + chunk + in_chunk, to, bytes});
                      to += bytes;
                    });
  device_.copy(pieces);
  return bytes_packed;
}

void CollectiveGather::unpack(std::span<const TokenId> tokens, std::uint32_t owner,
                              std::span<const std::byte> packed, std::span<std::byte> out) {
  std::vector<CopyPiece> pieces;
  const std::byte* from = packed.data();
  for_each_part(
      tokens, owner,
      [&](std::size_t i, std::uint64_t in_row, std::uint64_t, std::uint32_t, std::uint64_t bytes) {
        pieces.push_back({from, out.data() + i * table_.row_bytes() + in_row, bytes});
        from += bytes;
      });
  device_.copy(pieces);
}

void CollectiveGather::fetch_rows(std::span<const TokenId> tokens, std::uint32_t most_rows,
                                  std::span<std::byte> out) {
  arrivals_.wait(table_.units_needed());
  const std::uint32_t world = comm_.size(), rank = comm_.rank();
  // Every rank learns every rank's tokens; -1 fills up.
  std::vector<TokenId> mine(most_rows, -1), all(std::size_t{most_rows} * world);
  std::copy(tokens.begin(), tokens.end(), mine.begin());
  comm_.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)));
  const auto tokens_of = [&](std::uint32_t r) {
    const std::span<const TokenId> row(all.data() + std::size_t{most_rows} * r, most_rows);
    return row.first(static_cast<std::size_t>(std::find(row.begin(), row.end(), -1) - row.begin()));
  };
  const std::size_t half = row_buffers_.size() / 2;
  const std::span<std::byte> outgoing = row_buffers_.first(half);
  const std::span<std::byte> incoming = row_buffers_.subspan(half);
  // In round k each rank sends to the rank k after it: bounded buffers, and no two send to one.
  for (std::uint32_t k = 0; k < world; ++k) {
    const std::uint32_t to = (rank + k) % world, from = (rank + world - k) % world;
    const std::size_t sent = pack(tokens_of(to), outgoing);
    if (k == 0) {
      unpack(tokens, rank, outgoing.first(sent), out);
      continue;
    }
    const std::span<std::byte> received = incoming.first(part_bytes(tokens, from));
    exchange_.send_receive(outgoing.first(sent), to, received, from);
    unpack(tokens, from, received, out);
  }
}

}  // namespace initrt
