// Runs units whose weights stay on their ranks: rows of all ranks go to the weights, and what
// comes out of a product returns to the rank whose rows they are (sharding/row_moves.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/exchange.h"
#include "runtime/device/device.h"
#include "runtime/exec/gather.h"
#include "runtime/exec/unit_runner.h"
#include "runtime/exec/unit_times.h"
#include "sharding/memory_plan.h"

namespace initrt {

/// All ranks make the same calls in the same order. Used by one thread.
class RowMover {
 public:
  /// Allocates as planned. References outlive it.
  /// @param comm carries which experts rows choose, `link` the rows
  /// @param times told of each exchange
  RowMover(const Graph& graph, const Layout& layout, const Placement& placement,
           std::uint64_t row_tile, Device& device, Communicator& comm, RowLink& link,
           Gather& gather, UnitRunner& runner, UnitTimes& times, Ledger& ledger);

  /// From here on what is done goes by the rows alone, not by earlier sweeps: a device may record
  /// it.
  void begin_sweep() { next_part_ = 0; }

  /// What follows is of so many rows of each rank, this one's being the runner's.
  void begin(std::span<const std::uint32_t> rows_of_ranks);

  /// Runs a block or a tile of the head.
  void run(std::uint32_t unit);

  /// After a block that routes, runs the experts that some rank's rows chose.
  /// @returns their units, valid until the next call
  std::span<const std::uint32_t> run_experts(std::uint32_t router);

  /// Runs every product once on whatever lies in memory, and sends a few bytes.
  void warm_up();

 private:
  /// Some of all ranks' rows, which go through products together: [begin, end) counted over ranks.
  struct Slab {
    std::uint64_t begin = 0, end = 0;
    [[nodiscard]] std::uint64_t rows() const { return end - begin; }
  };
  /// Rows of a slab that chose an expert.
  struct Taken {
    std::uint32_t unit = 0, expert = 0;
    std::uint64_t begin = 0;              ///< of them among the rows of all experts
    std::span<const std::uint32_t> rows;  ///< of the slab, ascending; in taken_rows_
    std::span<const float> weights;       ///< of their choices
  };
  /// Where products of some rows go: this rank's columns of each op, in `parts_`.
  struct Made {
    float* at = nullptr;
    std::uint64_t all_rows = 0;  ///< of which there is room for
  };

  template <class Run>
  void for_slabs(Run run);
  void run_slab(std::uint32_t unit, std::span<const MoveStep> steps, const Slab& slab);
  void gather_rows(ActivationId from, const Slab& slab, std::uint32_t unit);
  void gather_columns(const MoveStep& kept, std::uint64_t rows, std::uint32_t unit);
  void multiply(std::uint32_t unit, const MoveStep& step, const float* in, std::uint64_t rows,
                std::uint64_t first_row, const std::byte* chunk);
  void gate(const GateOp& op, const MoveStep& kept, std::uint32_t unit);
  void return_columns(std::uint32_t unit, const MoveStep& step, const Slab& slab);

  void share_choices(const RouteOp& route);
  template <class Told>
  void for_choices(const Slab& slab, std::uint32_t chosen, Told told) const;
  void take(std::uint32_t router, const Slab& slab);
  void run_expert_slab(const Slab& slab);
  void return_experts(const MoveStep& step, const AddRowsOp& add, const Slab& slab);
  void add_expert(const Taken& taken, const MoveStep& step, const AddRowsOp& add, const Slab& slab);

  void warm_up_op(std::uint32_t unit, std::uint32_t op);
  void next_part(std::uint64_t all_rows);
  /// @param all_rows of the place
  [[nodiscard]] float* place_of(std::uint32_t unit, const MoveStep& step, std::uint32_t op) const;
  /// The rows of an op's weight that a rank has: columns of its output.
  [[nodiscard]] RowRange columns(std::uint32_t unit, std::uint32_t op, std::uint32_t rank) const;
  [[nodiscard]] std::uint64_t width(std::uint32_t unit, const MoveStep& step,
                                    std::uint32_t rank) const;
  /// A rank's rows in a slab: the first, counted in the slab, and how many.
  [[nodiscard]] RowRange part_of(std::uint32_t rank, const Slab& slab) const;
  /// This rank's first row in a slab, counted among its own.
  [[nodiscard]] std::uint64_t first_own(const Slab& slab) const;
  [[nodiscard]] const std::vector<Op>& ops(std::uint32_t unit) const {
    return graph_.units[unit].ops;
  }
  void send_receive(std::uint32_t unit);

  const Graph& graph_;
  const Layout& layout_;
  const Cut& cut_;
  const MoveSizes sizes_;
  const std::uint64_t row_tile_;
  Device& device_;
  Communicator& comm_;
  RowLink& link_;
  Gather& gather_;
  UnitRunner& runner_;
  UnitTimes& times_;
  std::vector<std::vector<MoveStep>> steps_;  // by unit

  Buffer sent_memory_, received_memory_;
  float* const inputs_;        // of products, whole, of all ranks' rows
  std::vector<float*> parts_;  // this rank's columns of products; used in turn, since what has
  std::size_t next_part_ = 0;  // been sent must stay until the next exchange returns
  Made made_;                  // by the last products
  float* const received_;

  std::vector<std::uint64_t> begin_;          // by rank, of its rows, and the end of all
  std::optional<ActivationId> gathered_;      // what lies in inputs_, of all rows
  std::vector<ExpertChoice> mine_, choices_;  // of this rank's rows, of all ranks'
  std::uint64_t choices_of_rank_ = 0;
  std::vector<Taken> taken_;
  std::vector<std::uint32_t> taken_rows_;   // of a slab, expert by expert
  std::vector<float> taken_weights_;        // as taken_rows_
  std::vector<std::uint64_t> expert_ends_;  // by expert, where its rows end there
  std::vector<const float*> arrived_;       // by rank, what experts made
  std::vector<std::uint32_t> experts_;      // of run_experts()

  // Kept from call to call.
  std::vector<std::span<const std::byte>> out_;
  std::vector<std::span<std::byte>> in_;
  std::vector<LinearProduct> products_;
  std::vector<CopyPiece> pieces_;
};

}  // namespace initrt
