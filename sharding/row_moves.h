// Where rows move instead of weights: what each rank computes of a unit whose weights stay on their
// ranks, what goes between ranks, and what either way costs. Pure.
//
// An element of a product depends on one row of the weight alone, so the rank that holds this row
// can compute it, for the rows of all ranks, with the same bits. Norms, attention, the KV cache and
// sampling stay with the rank that has the sequence.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sharding/graph.h"
#include "sharding/layout.h"

namespace initrt {

/// What moves in sweeps.
enum class Move : std::uint8_t {
  Auto,         ///< whichever is less, decided in each sweep
  Weights,      ///< units are gathered
  Activations,  ///< rows go to the weights
};

[[nodiscard]] std::string_view name(Move move);
[[nodiscard]] std::optional<Move> move_from_name(std::string_view name);

/// Ops of a unit that follow one another and run alike.
struct MoveStep {
  enum class Kind : std::uint8_t {
    Local,     ///< one op, on this rank's own rows
    Products,  ///< of one input: of all ranks' rows with this rank's rows of the weights
    Gate,      ///< one op, on the columns that products before it left on their ranks
  };
  Kind kind = Kind::Local;
  std::uint32_t first = 0, count = 1;  ///< ops of the unit
  bool of_columns = false;  ///< the input lies in columns on their ranks, as Gate leaves it
  bool keeps = false;       ///< outputs stay on their ranks, for a Gate; else they go to their rows
};

/// The steps of a unit, in order.
[[nodiscard]] std::vector<MoveStep> move_steps(const Unit& unit);

/// What each rank holds for a sweep that moves rows, in rows of float32.
struct MoveSizes {
  std::uint64_t rows = 0;      ///< of all ranks, that go through a unit's products at once
  std::uint64_t own_rows = 0;  ///< the most of them that are this rank's
  /// Elements: whole inputs of products; this rank's columns; what others' columns arrive in.
  std::uint64_t inputs = 0, columns = 0, received = 0;
  std::uint64_t parts = 2;  ///< buffers of columns: what is sent stays until the next exchange

  /// Memory that is sent from: inputs and columns.
  [[nodiscard]] std::uint64_t sent_bytes() const {
    return (inputs + parts * columns) * sizeof(float);
  }
  [[nodiscard]] std::uint64_t received_bytes() const { return received * sizeof(float); }
  /// The most that one exchange sends or receives.
  [[nodiscard]] std::uint64_t message_bytes() const;
};

/// Rows that buffers of products have room for: of several products that follow one another in a
/// buffer each writes up to the next multiple of `row_tile`.
[[nodiscard]] std::uint64_t padded_rows(std::uint64_t rows, std::uint64_t row_tile);

/// @param rows of all ranks at once, at most; 0: none move
/// @param own_rows of one rank at once, at most
/// @param row_tile as of padded_rows()
[[nodiscard]] MoveSizes move_sizes(const Graph& graph, const Cut& cut, std::uint64_t rows,
                                   std::uint64_t own_rows, std::uint64_t row_tile);

/// What a sweep costs either way, in bytes that the busiest rank receives.
struct MoveCosts {
  std::uint64_t weight_bytes = 0;       ///< all units, but for experts and what is resident
  std::uint64_t expert_bytes = 0;       ///< all experts
  double expert_share = 0;              ///< of the experts that a row chooses
  std::uint64_t bytes_per_row = 0;      ///< for each row of any rank: inputs of products
  std::uint64_t bytes_per_own_row = 0;  ///< for each row of this rank besides: outputs
  std::uint32_t world = 1;

  // What else takes time (sweep_time.h).
  std::uint64_t product_bytes = 0;         ///< weights of products, but for experts
  std::uint64_t expert_product_bytes = 0;  ///< of all experts
  double operations_per_row = 0;           ///< of products: two for each weight that a row meets
  std::uint32_t gathers = 0;    ///< that a sweep waits for where weights move, but for experts
  std::uint32_t exchanges = 0;  ///< that it waits for where rows move

  /// What becomes resident moves no more.
  void leave_out(const Graph& graph, const Layout& layout, std::uint32_t unit);

  /// @param rows of all ranks @param own_rows the most of any rank
  [[nodiscard]] double of_rows(std::uint64_t rows, std::uint64_t own_rows) const;
  /// With as many experts as so many rows that choose at random would need.
  [[nodiscard]] double of_weights(std::uint64_t rows) const;
  /// The most rows, shared out evenly, of which moving takes fewer bytes than moving the weights.
  [[nodiscard]] std::uint64_t rows_at_crossing() const;
  /// Bytes of weights that products of so many rows read, of all ranks' together.
  [[nodiscard]] double read_of_weights(std::uint64_t rows) const;

 private:
  [[nodiscard]] double chosen_part(std::uint64_t rows) const;  // of the experts
};

[[nodiscard]] MoveCosts move_costs(const Graph& graph, const Layout& layout, const Cut& cut);

}  // namespace initrt
