// Layout x rank -> every buffer that holds tensor payload, to the byte. Pure: the runtime allocates
// exactly these, through a ledger with the same categories.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sharding/graph.h"
#include "sharding/layout.h"
#include "sharding/row_moves.h"
#include "sharding/sweep_time.h"

namespace initrt {

enum class MemoryCategory : std::uint8_t {
  Shard,     ///< this rank's chunks of the units that are gathered on demand
  Resident,  ///< units kept whole because the budget allows it (this rank's chunk included)
  Slots,     ///< where units are gathered to, one at a time each
  Staging,   ///< the ring of blocks that reads go through, and scales before they are coded
  KvCache,
  Activations,
  Logits,
  Scratch,     ///< rotary tables, device scratch, embedding rows on their way between ranks
  Exchange,    ///< activations of all ranks' rows, where weights stay on their ranks
  Conversion,  ///< what was read, in a device's own memory, before it is converted
  Pinned,      ///< host memory that a device copies to and from: results, units on their way
};
inline constexpr std::size_t kMemoryCategories = 11;

[[nodiscard]] std::string_view name(MemoryCategory category);

/// Whether it is memory of the host also where devices have their own.
[[nodiscard]] constexpr bool is_host_memory(MemoryCategory category) {
  return category == MemoryCategory::Staging || category == MemoryCategory::Pinned;
}

/// Bytes by category.
struct MemoryPlan {
  std::array<std::uint64_t, kMemoryCategories> bytes{};

  [[nodiscard]] std::uint64_t& operator[](MemoryCategory category) {
    return bytes[static_cast<std::size_t>(category)];
  }
  [[nodiscard]] std::uint64_t operator[](MemoryCategory category) const {
    return bytes[static_cast<std::size_t>(category)];
  }
  [[nodiscard]] std::uint64_t total() const;
  /// What of it is the host's. @param discrete_memory DeviceNeeds::discrete_memory
  [[nodiscard]] std::uint64_t host_total(bool discrete_memory) const;
  /// What of it is the device's, which is all of it where that is the host's.
  [[nodiscard]] std::uint64_t device_total(bool discrete_memory) const;
};

/// How a rank gets at whole units.
enum class GatherKind : std::uint8_t {
  InPlace,     ///< whole units are addressable without a copy (one rank, or mapped memory)
  Collective,  ///< all-gathered into slots
};

/// The matrix products of a run.
struct ProductSizes {
  DType dtype = DType::F32;             ///< of weights that are not quantized
  std::uint64_t rows = 0, columns = 0;  ///< the most rows and the widest input of any
  WeightFormats formats = {};           ///< that weights are held in
};

/// What planning has to know of a kind of device; told without having one.
struct DeviceNeeds {
  /// Its memory is not the host's: results come back through host memory, and what is read is
  /// converted from staging blocks of its own.
  bool discrete_memory = false;
  std::uint64_t row_tile = 1;       ///< matrix products run on multiples of this many rows
  std::uint64_t pinned_bytes = 0;   ///< host memory for what goes to the device in small pieces
  std::uint64_t upload_bytes = 0;   ///< host memory that describes what is uploaded
  std::uint64_t scratch_bytes = 0;  ///< what its ops need for the rows and columns in question
};

/// What a run needs beside the model.
struct RunShape {
  GatherKind gather = GatherKind::InPlace;
  bool through_host = false;   ///< what is gathered goes through host memory to a device's own
  std::uint32_t prefetch = 1;  ///< units gathered ahead; prefetch + 1 slots
  std::uint64_t staging_bytes = 0;
  std::uint64_t sequences = 1;   ///< most sequences a rank holds at once
  std::uint64_t context = 1;     ///< positions per sequence
  std::uint64_t sweep_rows = 1;  ///< most token rows a rank brings to a sweep
  std::uint64_t logit_rows = 1;  ///< most rows per sweep that want logits
  Move move = Move::Auto;
  Speeds speeds = {};              ///< what Move::Auto compares times by; unknown: bytes
  std::uint64_t active_ranks = 0;  ///< most ranks that bring rows to a sweep; 0: all
  /// Rows of all ranks that go through products at once where rows move: moved_rows(); 0: none do.
  std::uint64_t moved_rows = 0;
  DeviceNeeds device = {};  ///< for product_rows()
  /// Bytes a rank may use, of the device's memory where that is its own; 0: nothing resident beyond
  /// the slots.
  std::uint64_t budget = 0;

  /// Rows that buffers of `rows` rows have room for.
  [[nodiscard]] std::uint64_t padded(std::uint64_t rows) const;
  /// Most rows of any product.
  [[nodiscard]] std::uint64_t product_rows() const { return std::max(sweep_rows, moved_rows); }
};

/// What RunShape::moved_rows is to be, by the rest of the shape: all rows of a decode step, and
/// enough for a prompt's products to be bound by arithmetic; more of them go through one after the
/// other.
[[nodiscard]] std::uint64_t moved_rows(const RunShape& shape, std::uint32_t world);

struct Placement {
  MemoryPlan memory;
  Cut cut;
  /// prefetch + 1, but no more than units gathered on demand; none where no sweep can need one.
  std::uint32_t slots = 0;
  MoveSizes moves;  ///< of what is in MemoryCategory::Exchange
  MoveCosts costs;
  bool moves_weights = true;  ///< whether a sweep may gather units
  std::uint64_t replicated_bytes =
      0;  ///< of MemoryCategory::Resident; 0: units are whole somewhere
};

/// How a run's weights come to its ranks where they move.
[[nodiscard]] WeightPath weight_path(const RunShape& shape);

/// Whether a sweep moves rows. @param rows of all ranks @param own_rows the most of any rank
[[nodiscard]] bool moves_rows(const RunShape& shape, const Placement& placement, std::uint64_t rows,
                              std::uint64_t own_rows);

/// The widest input of a matrix product in the graph, in columns (for Device::scratch_bytes).
[[nodiscard]] std::uint64_t widest_linear_input(const Graph& graph);

/// Cuts the layout, sizes every buffer, and spends what the budget leaves on resident units,
/// first units first.
/// @throws Error where the budget is below what the run needs at the least, saying both, and where
///         a size overflows.
[[nodiscard]] Placement plan_memory(const Graph& graph, const Layout& layout, std::uint32_t world,
                                    const RunShape& shape);

/// Bytes of the rotary tables of a sweep: for each of the graph's kinds of rotary embedding float32
/// [rows, 2, dimensions / 2], cosines and sines.
[[nodiscard]] std::uint64_t rotary_table_bytes(const Graph& graph, std::uint64_t sweep_rows);

/// Bytes of the buffers that embedding rows go through: where they arrive and, if other ranks hold
/// some of them, where they are packed and received on the way.
[[nodiscard]] std::uint64_t row_buffer_bytes(const Graph& graph, const Layout& layout,
                                             const RunShape& shape);

/// Bytes of host memory that rows on their way from and to a device of its own memory go through,
/// each way.
[[nodiscard]] std::uint64_t staged_row_bytes(const Graph& graph, const Layout& layout,
                                             const RunShape& shape, const MoveSizes& moves);

/// Bytes of host memory that units go through, `slots` at once: for each this rank's chunk and the
/// whole unit, of the largest one.
struct HostSlots {
  std::uint32_t slots = 0;
  std::uint64_t chunk_bytes = 0, whole_bytes = 0;  ///< of one

  [[nodiscard]] std::uint64_t bytes() const { return slots * (chunk_bytes + whole_bytes); }
};
[[nodiscard]] HostSlots host_slots(const Graph& graph, const Cut& cut, std::uint32_t slots);

/// The first tile of the embedding table; all are held alike.
[[nodiscard]] const ParamPlace& embedding_place(const Graph& graph, const Layout& layout);

/// Bytes of a token's row of the embedding table, and of those behind it, in `layout`.
[[nodiscard]] std::uint64_t embedding_row_bytes(const Graph& graph, const Layout& layout);

}  // namespace initrt
