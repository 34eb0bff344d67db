// The forward pass in sweeps: one pass over the units in order, in step with all ranks. Each rank
// brings from 0 to sweep_rows token rows: prefill chunks and decode steps of its own prompts.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/device/device.h"
#include "runtime/exec/gather.h"
#include "runtime/exec/recorded_sweeps.h"
#include "runtime/exec/row_mover.h"
#include "runtime/exec/unit_runner.h"
#include "runtime/exec/unit_times.h"
#include "sharding/memory_plan.h"

namespace initrt {

/// What a rank brings to a sweep. Rows of one sequence are consecutive and in order.
struct SweepInput {
  std::span<const TokenId> tokens;
  std::span<const RowInfo> rows;              ///< as tokens
  std::span<const std::uint32_t> logit_rows;  ///< which rows want logits, ascending
  std::uint32_t finished = 0;                 ///< completions this rank has to hand over
  std::uint32_t stop = 0;                     ///< not 0: why this rank wants all to stop
  /// How the device chooses a token of each logit row, so that logits stay where they are; null:
  /// the logits are wanted. Only where the engine samples(), and each rank for itself.
  const SamplerOptions* sampler = nullptr;
  std::span<const double> draws = {};  ///< as logit_rows, where tokens are chosen: see draw_of()
};

struct SweepOutput {
  bool any = false;           ///< whether any rank brought rows; if not, the sweep ran nothing
  bool any_finished = false;  ///< whether any rank has completions to hand over
  std::uint32_t stop = 0;     ///< the largest that any rank brought
  std::span<float> logits;    ///< [logit_rows, vocabulary], the caller's until the next sweep
  /// Instead of logits, where tokens were to be chosen: [logit_rows], until the next sweep.
  std::span<const Sampled> sampled;
};

/// What choosing experts saves: bytes of those that this rank took up, and of all that there are,
/// each counted once a sweep. Where units are gathered, a rank takes up what any rank's rows chose;
/// where they lie in place, what its own did.
struct ExpertBytes {
  std::uint64_t used_bytes = 0, all_bytes = 0;
};

class Engine {
 public:
  /// Told of each unit before it runs (for progress, and for tests that hold a rank at a place).
  using UnitHook = std::function<void(std::uint32_t unit)>;

  /// Allocates activations, KV cache, logits and scratch as planned. References outlive the engine.
  /// @param timeline told of every unit that a sweep runs, at the cost of Device::repeat(), which
  ///        does not say when each of its ops was run; may be null
  /// @param link what rows go through where they move; null: they never do
  Engine(const Graph& graph, const Layout& layout, const Placement& placement,
         const RunShape& shape, Device& device, Communicator& comm, Gather& gather, RowLink* link,
         Ledger& ledger, UnitHook on_unit, Timeline* timeline = nullptr);

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  /// Runs every unit once on whatever lies in memory, so that what ops make and load on first use
  /// is there before any collective: a GPU that waits for another rank may not be able to load.
  void warm_up();

  /// One sweep; collective. A sequence restarts by bringing position 0 again.
  /// @throws Error for more rows than planned and for a token, position, sequence or logit row out
  ///         of range, for rows that do not follow those before where the model has states of
  ///         sequences, and where tokens cannot be chosen as asked, before anything is sent; and
  ///         whatever ends the world
  SweepOutput sweep(const SweepInput& input);

  [[nodiscard]] std::uint64_t vocabulary() const { return graph_.vocabulary; }
  /// Whether the device can choose tokens.
  [[nodiscard]] bool samples() const { return device_.samples(); }
  /// The length at which a sequence must be run again from its start, since all its keys change; 0:
  /// none.
  [[nodiscard]] std::uint32_t restart_length() const {
    return initrt::restart_length(graph_.rotary);
  }
  /// Over all sweeps so far.
  [[nodiscard]] ExpertBytes experts() const { return experts_; }
  [[nodiscard]] Communicator& comm() { return comm_; }

 private:
  /// What every rank tells the others before a sweep.
  struct SweepHeader {
    std::uint32_t rows = 0;
    std::uint32_t logit_rows = 0;
    std::uint32_t finished = 0;
    std::uint32_t stop = 0;
  };

  void check(const SweepInput& input);
  void check_order(std::span<const RowInfo> rows);
  [[nodiscard]] std::span<const std::uint32_t> stretch(std::span<const std::uint32_t> order,
                                                       std::size_t from) const;
  // Units of the experts that some rank's rows chose.
  [[nodiscard]] std::vector<std::uint32_t> chosen_experts(std::uint32_t router);
  template <class AtHead, class Run>
  void for_units(std::span<const std::uint32_t> order, AtHead at_head, Run run);
  void run_units(std::span<const std::uint32_t> order);
  void run_experts(std::uint32_t router, std::span<const std::uint32_t> order, std::size_t next);
  void warm_up_units(const ExpertRows& expert_rows);
  void count_experts(std::uint32_t router, std::span<const std::uint32_t> run);
  void move_rows(std::span<const std::uint32_t> order);
  void repeat_moving_rows(std::span<const std::uint32_t> order);

  const Graph& graph_;
  const Layout& layout_;
  const RunShape shape_;
  Device& device_;
  Communicator& comm_;
  Gather& gather_;
  const UnitHook on_unit_;
  UnitTimes times_;
  const std::vector<std::uint32_t> order_;        // units a sweep runs: blocks, then head
  const std::vector<std::uint32_t> blocks_only_;  // when no rank wants logits
  const bool has_experts_;

  const Placement& placement_;
  UnitRunner runner_;
  std::optional<RowMover> mover_;
  Buffer rows_;                             // of the embedding table, as they arrive
  std::optional<RecordedSweeps> recorded_;  // where exchanges can be recorded
  ExpertBytes experts_;
  std::vector<SweepHeader> headers_;  // by rank
  std::vector<std::uint32_t> sizes_;  // of all ranks' headers: rows, then logit rows
  std::vector<std::uint32_t> rows_of_ranks_;
  std::vector<std::byte> wanted_;  // by expert, of the router that was run last

  // Where a sequence's states have been brought to, and in which sweep.
  struct Reached {
    std::uint32_t position = 0;
    std::uint64_t sweep = 0;
  };
  std::vector<Reached> reached_;  // by sequence; none where the model has no states
  std::uint64_t sweeps_ = 0;
};

}  // namespace initrt
