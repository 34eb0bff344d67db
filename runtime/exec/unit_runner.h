// Runs the ops of units on a device, and holds what they work on: activations, KV cache, logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/device/device.h"
#include "sharding/kv_cache.h"
#include "sharding/memory_plan.h"

namespace initrt {

/// The rows that chose one expert, ascending, and how much each takes of what it makes.
struct ExpertRows {
  std::vector<std::uint32_t> rows;
  std::vector<float> weights;
};

class UnitRunner {
 public:
  /// Allocates as planned. References outlive it.
  UnitRunner(const Graph& graph, const Layout& layout, const Cut& cut, const RunShape& shape,
             Device& device, Ledger& ledger);

  /// Starts a sweep. @param logit_rows which of the rows the head will run on, ascending
  void begin(std::span<const RowInfo> rows, std::span<const std::uint32_t> logit_rows);

  /// Graph::embedded = the rows' rows of the embedding table and those behind it, in the layout's
  /// dtype.
  void embed(const std::byte* embedded);

  /// Runs a block or a tile of the head. @param weights the whole unit
  void run(std::uint32_t unit, WholeUnit weights);
  /// Runs an expert on the rows that chose it after the last block that routes.
  void run_expert(std::uint32_t unit, WholeUnit weights, const ExpertRows& chosen);

  /// One op of a unit on this rank's own rows, where products are made elsewhere.
  void run_op(std::uint32_t unit, std::uint32_t op, WholeUnit weights);
  /// Where the output of an op that is a product goes: its first row, and elements from row to row.
  [[nodiscard]] std::pair<float*, std::uint64_t> output(std::uint32_t unit, std::uint32_t op) const;
  /// What is left to do once rows [first, first + rows) of it are there.
  void finish_output(std::uint32_t unit, std::uint32_t op, std::uint64_t first, std::uint64_t rows);
  /// [rows of the sweep, columns], of the device.
  [[nodiscard]] float* activation(ActivationId id) const { return activations_[id].floats(); }
  /// [rows, chosen] of the block that routed last.
  [[nodiscard]] std::span<const ExpertChoice> choices() const { return choices_; }

  /// By expert, after a block that routes.
  [[nodiscard]] const std::vector<ExpertRows>& routed() const { return routed_; }

  /// What follows runs on the rows that want logits alone: they move to the front, in order.
  void keep_logit_rows();

  /// Has the device bring the logits to the host.
  void fetch_logits();

  /// Has a device that samples() choose a token for each row that wants logits.
  /// @returns [rows that want logits], valid until the next call
  [[nodiscard]] std::span<const Sampled> sample(const SamplerOptions& options,
                                                std::span<const double> draws);

  /// [rows that want logits, vocabulary], once they have been fetched and the device synchronised.
  [[nodiscard]] float* logits() const {
    return results_.bytes() > 0 ? results_.floats() : logits_.floats();
  }

 private:
  struct Run;  // one unit's ops on their way through

  void run_ops(const Run& run);
  void route(const RouteOp& op, const RouteVectors& vectors);
  void cap(const HeadOp& op, std::uint64_t tile, std::uint64_t first, std::uint64_t rows);
  void fill_rotary(const RotarySpec& rotary, std::span<const RowInfo> rows, float* table);
  [[nodiscard]] KvView kv_of_layer(std::uint32_t layer) const;
  [[nodiscard]] float* states_of(StateId state) const;
  void join(const JoinOp& op, std::uint64_t rows);
  void slice(const SliceOp& op, std::uint64_t rows);
  [[nodiscard]] const float* rotary_table(std::uint32_t rotary) const;
  [[nodiscard]] std::uint64_t columns(ActivationId id) const {
    return graph_.activations[id].columns;
  }

  const Graph& graph_;
  const Layout& layout_;
  const Cut& cut_;
  const RunShape shape_;
  Device& device_;

  std::vector<Buffer> activations_;
  const KvLayout kv_layout_;
  Buffer kv_cache_;
  Buffer logits_;
  Buffer results_;  // logits on the host, where the device's memory is not
  Buffer rotary_;   // a table for each of Graph::rotary, one row for each of a sweep's
  Buffer device_scratch_, pinned_;

  std::uint64_t rows_ = 0, logit_rows_ = 0;  // of the sweep
  std::uint64_t running_ = 0;  // rows that blocks, or after keep_logit_rows() the head, run on
  std::vector<float> rotary_rows_;
  std::vector<LinearProduct> products_;
  std::vector<CopyPiece> pieces_;
  std::vector<ExpertChoice> choices_;
  std::vector<ExpertRows> routed_;
  std::vector<Sampled> sampled_;
};

}  // namespace initrt
