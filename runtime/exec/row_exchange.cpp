#include "runtime/exec/row_exchange.h"

#include <algorithm>

#include "sharding/memory_plan.h"

namespace initrt {

EmbeddingTable::EmbeddingTable(const Graph& graph, const Layout& layout, const Cut& cut)
    : row_bytes_(embedding_row_bytes(graph, layout)) {
  const auto add = [&](std::span<const TableTile> tiles) {
    const TableTile& first = tiles.front();
    Table& table = tables_.emplace_back();
    table.row_bytes = layout.units[first.unit].params[first.param].row_bytes;
    for (const TableTile& tile : tiles) {
      table.tiles.push_back({graph.units[tile.unit].params[tile.param].row_begin, tile.unit,
                             cut.units[tile.unit].params[tile.param]});
      units_needed_ = std::max(units_needed_, tile.unit + 1);
    }
  };
  add(graph.embedding);
  for (const TableTile& table : graph.further_tables) add(std::span(&table, 1));
}

TableRow EmbeddingTable::find(TokenId token, std::size_t table) const {
  const auto row = static_cast<std::uint64_t>(token);
  const auto& [tiles, row_bytes] = tables_[table];
  const auto after =
      std::upper_bound(tiles.begin(), tiles.end(), row,
                       [](std::uint64_t r, const Tile& t) { return r < t.row_begin; });
  const Tile& tile = *std::prev(after);
  const std::uint64_t in_tile = row - tile.row_begin;
  return {tile.unit, static_cast<std::uint32_t>(in_tile / tile.cut.block_rows),
          tile.cut.offset + in_tile % tile.cut.block_rows * row_bytes};
}

RowExchange::RowExchange(const EmbeddingTable& table, const Cut& cut, Communicator& comm,
                         Exchange& exchange, DeviceMemory& device, std::span<std::byte> shard,
                         std::span<std::byte> buffers)
    : table_(table),
      cut_(cut),
      comm_(comm),
      exchange_(exchange),
      device_(device),
      shard_(shard),
      outgoing_(buffers.first(buffers.size() / 2)),
      incoming_(buffers.subspan(buffers.size() / 2)) {
  const std::size_t ranks = comm.size(), rows = outgoing_.size() / table.row_bytes();
  mine_.reserve(rows);
  all_.reserve(rows * ranks);
  bytes_.resize(ranks * ranks);
  for (auto* const by_rank : {&out_bytes_, &in_bytes_, &place_}) by_rank->resize(ranks);
}

void RowExchange::warm_up() {
  const std::uint32_t ranks = comm_.size(), rank = comm_.rank();
  const std::size_t bytes = std::min<std::size_t>(outgoing_.size() / ranks, 256);
  std::fill(out_bytes_.begin(), out_bytes_.end(), bytes);
  out_bytes_[rank] = 0;
  const std::size_t sum = bytes * (ranks - 1);
  exchange_.all_to_all(outgoing_.first(sum), out_bytes_, incoming_.first(sum), out_bytes_);
}

// @param to where this rank wants the token's rows; null where another one asks
void RowExchange::plan_token(TokenId token, std::uint32_t asker, std::byte* to) {
  const std::uint32_t rank = comm_.rank();
  for (std::size_t table = 0; table < table_.tables(); ++table) {
    const TableRow row = table_.find(token, table);
    const std::uint64_t bytes = table_.row_bytes(table);
    if (row.rank != asker) bytes_[std::size_t{row.rank} * comm_.size() + asker] += bytes;
    const std::byte* const from =
        row.rank == rank ? shard_.data() + cut_.chunk_offset(row.unit, rank) + row.offset : nullptr;
    if (from != nullptr && to != nullptr) {
      pieces_.push_back({from, to, bytes});
    } else if (from != nullptr) {
      sent_.push_back({from, asker, bytes});
    } else if (to != nullptr) {
      received_.push_back({to, row.rank, bytes});
    }
    if (to != nullptr) to += bytes;
  }
}

// What goes between which ranks, and which rows this rank sends and receives.
void RowExchange::plan(std::uint32_t max_rows, std::span<std::byte> out) {
  const std::uint32_t ranks = comm_.size(), rank = comm_.rank();
  std::fill(bytes_.begin(), bytes_.end(), 0);
  sent_.clear();
  received_.clear();
  pieces_.clear();
  for (std::uint32_t asker = 0; asker < ranks; ++asker) {
    const TokenId* const tokens = all_.data() + std::size_t{max_rows} * asker;
    for (std::uint32_t i = 0; i < max_rows && tokens[i] >= 0; ++i) {
      std::byte* const to = asker == rank ? out.data() + i * table_.row_bytes() : nullptr;
      plan_token(tokens[i], asker, to);
    }
  }
  device_.copy(pieces_);  // this rank's own
}

// One pass is of all pairs of ranks at some distances: as many as no rank sends more than its
// buffer has room for. One always fits, since nobody asks for more rows than that.
std::uint32_t RowExchange::end_of_pass(std::uint32_t first_distance) {
  const std::uint32_t ranks = comm_.size();
  std::fill(place_.begin(), place_.end(), 0);
  std::uint32_t end = first_distance;
  for (; end < ranks; ++end) {
    for (std::uint32_t from = 0; from < ranks; ++from) {
      place_[from] += bytes_between(from, (from + end) % ranks);
    }
    const std::uint64_t most = *std::max_element(place_.begin(), place_.end());
    if (end > first_distance && most > outgoing_.size()) break;
  }
  return end;
}

void RowExchange::exchange_pass(std::uint32_t first_distance, std::uint32_t end_distance) {
  const std::uint32_t ranks = comm_.size(), rank = comm_.rank();
  const auto in_pass = [&](std::uint32_t from, std::uint32_t to) {
    return distance(from, to) >= first_distance && distance(from, to) < end_distance;
  };
  // Sets each rank's place in a buffer of parts in rank order. @returns their sum
  const auto set_places = [&](const std::vector<std::uint64_t>& bytes) {
    std::uint64_t sum = 0;
    for (std::uint32_t peer = 0; peer < ranks; ++peer) {
      place_[peer] = sum;
      sum += bytes[peer];
    }
    return sum;
  };
  for (std::uint32_t peer = 0; peer < ranks; ++peer) {
    out_bytes_[peer] = in_pass(rank, peer) ? bytes_between(rank, peer) : 0;
    in_bytes_[peer] = in_pass(peer, rank) ? bytes_between(peer, rank) : 0;
  }
  const std::uint64_t sum_out = set_places(out_bytes_);
  pieces_.clear();
  for (const Sent& row : sent_) {
    if (!in_pass(rank, row.peer)) continue;
    pieces_.push_back({row.from, outgoing_.data() + place_[row.peer], row.bytes});
    place_[row.peer] += row.bytes;
  }
  device_.copy(pieces_);
  const std::uint64_t sum_in = set_places(in_bytes_);
  exchange_.all_to_all(outgoing_.first(sum_out), out_bytes_, incoming_.first(sum_in), in_bytes_);
  pieces_.clear();
  for (const Received& row : received_) {
    if (!in_pass(row.peer, rank)) continue;
    pieces_.push_back({incoming_.data() + place_[row.peer], row.to, row.bytes});
    place_[row.peer] += row.bytes;
  }
  device_.copy(pieces_);
}

void RowExchange::fetch(std::span<const TokenId> tokens, std::uint32_t most_rows,
                        std::span<std::byte> out) {
  mine_.assign(most_rows, -1);
  all_.resize(std::size_t{most_rows} * comm_.size());
  std::copy(tokens.begin(), tokens.end(), mine_.begin());
  comm_.all_gather(std::as_bytes(std::span(mine_)), std::as_writable_bytes(std::span(all_)));
  plan(most_rows, out);
  for (std::uint32_t first = 1; first < comm_.size();) {
    const std::uint32_t end = end_of_pass(first);
    exchange_pass(first, end);
    first = end;
  }
}

}  // namespace initrt
