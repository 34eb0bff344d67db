// Embedding rows between ranks that each hold a part of the table: what a sweep begins with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/exchange.h"
#include "runtime/device/memory.h"
#include "runtime/text/tokenizer.h"
#include "sharding/layout.h"

namespace initrt {

/// Where an embedding row lies, or one of a table that comes behind it.
struct TableRow {
  std::uint32_t unit = 0;
  std::uint32_t rank = 0;    ///< whose chunk of the unit holds it
  std::uint64_t offset = 0;  ///< bytes into that chunk
};

/// Finds a token's rows in the tiles that hold them. References outlive it.
class EmbeddingTable {
 public:
  EmbeddingTable(const Graph& graph, const Layout& layout, const Cut& cut);
  [[nodiscard]] TableRow find(TokenId token, std::size_t table = 0) const;
  /// Bytes of all of a token's rows.
  [[nodiscard]] std::uint64_t row_bytes() const { return row_bytes_; }
  [[nodiscard]] std::size_t tables() const { return tables_.size(); }
  [[nodiscard]] std::uint64_t row_bytes(std::size_t table) const {
    return tables_[table].row_bytes;
  }
  /// The first `units_needed()` units hold all rows.
  [[nodiscard]] std::uint32_t units_needed() const { return units_needed_; }

 private:
  struct Tile {
    std::uint64_t row_begin;
    std::uint32_t unit;
    ParamCut cut;
  };
  struct Table {
    std::vector<Tile> tiles;
    std::uint64_t row_bytes = 0;
  };
  std::vector<Table> tables_;
  std::uint64_t row_bytes_ = 0;
  std::uint32_t units_needed_ = 0;
};

/// Rows go from the ranks that hold them to the rank that asks for them, in one all-to-all where
/// what each rank sends fits its buffer, else in several. Every rank knows all tokens, and so works
/// out alike how many. Used by one thread.
class RowExchange {
 public:
  /// @param shard this rank's shard memory, as cut
  /// @param buffers of the device, for rows on their way: one half for what is sent, one for what
  /// is received, each with room for the rows of one rank's sweep
  /// References outlive it.
  RowExchange(const EmbeddingTable& table, const Cut& cut, Communicator& comm, Exchange& exchange,
              DeviceMemory& device, std::span<std::byte> shard, std::span<std::byte> buffers);

  /// As Gather::fetch_rows(), of units that have arrived on this rank.
  void fetch(std::span<const TokenId> tokens, std::uint32_t most_rows, std::span<std::byte> out);

  /// Moves a few bytes between all ranks. Collective.
  void warm_up();

 private:
  /// A row on its way.
  struct Sent {
    const std::byte* from = nullptr;  ///< in this rank's shard
    std::uint32_t peer = 0;           ///< the rank that asks
    std::uint64_t bytes = 0;
  };
  struct Received {
    std::byte* to = nullptr;  ///< among this rank's rows
    std::uint32_t peer = 0;   ///< the rank that holds it
    std::uint64_t bytes = 0;
  };

  void plan(std::uint32_t most_rows, std::span<std::byte> out);
  void plan_token(TokenId token, std::uint32_t asker, std::byte* to);
  [[nodiscard]] std::uint32_t end_of_pass(std::uint32_t first_distance);
  void exchange_pass(std::uint32_t first_distance, std::uint32_t end_distance);

  [[nodiscard]] std::uint64_t bytes_between(std::uint32_t from, std::uint32_t to) const {
    return bytes_[std::size_t{from} * comm_.size() + to];
  }
  /// How far round `to` is from `from`: ranks at one distance send to one another all at once.
  [[nodiscard]] std::uint32_t distance(std::uint32_t from, std::uint32_t to) const {
    return (to + comm_.size() - from) % comm_.size();
  }

  const EmbeddingTable& table_;
  const Cut& cut_;
  Communicator& comm_;
  Exchange& exchange_;
  DeviceMemory& device_;
  const std::span<std::byte> shard_;
  const std::span<std::byte> outgoing_, incoming_;

  // Of one fetch(); kept so that a sweep allocates nothing once it has seen the largest.
  std::vector<TokenId> mine_, all_;   // -1 fills up
  std::vector<std::uint64_t> bytes_;  // [ranks that hold rows, ranks that ask for them]
  std::vector<Sent> sent_;            // by the rank that asks, then by its tokens
  std::vector<Received> received_;    // by this rank's tokens
  std::vector<CopyPiece> pieces_;
  std::vector<std::uint64_t> out_bytes_, in_bytes_, place_;  // by rank
};

}  // namespace initrt
