// The forward pass in sweeps: one pass over the units in order, in step with all ranks. Each rank
// brings from 0 to sweep_rows token rows: prefill chunks and decode steps of its own prompts.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/device/device.h"
#include "runtime/device/host_buffer.h"
#include "runtime/exec/gather.h"
#include "sharding/memory_plan.h"

namespace initrt {

/// What a rank brings to a sweep. Rows of one sequence are consecutive and in order.
struct SweepInput {
  std::span<const TokenId> tokens;
  std::span<const RowInfo> rows;              ///< as tokens
  std::span<const std::uint32_t> logit_rows;  ///< which rows want logits, ascending
  std::uint32_t finished = 0;                 ///< completions this rank has to hand over
};

struct SweepOutput {
  bool any = false;               ///< whether any rank brought rows; if not, the sweep ran nothing
  bool any_finished = false;      ///< whether any rank has completions to hand over
  std::span<const float> logits;  ///< [logit_rows, vocabulary], valid until the next sweep
};

class Engine {
 public:
  /// Told of each unit before it runs (for progress, and for tests that hold a rank at a place).
  using UnitHook = std::function<void(std::uint32_t unit)>;

  /// Allocates activations, KV cache, logits and scratch as planned. References outlive the engine.
  Engine(const Graph& graph, const Layout& layout, const RunShape& shape, Device& device,
         Communicator& comm, Gather& gather, Ledger& ledger, UnitHook on_unit);

  /// One sweep; collective. A sequence restarts by bringing position 0 again.
  /// @throws Error for more rows than planned and for a token, position, sequence or logit row out
  ///         of range, before anything is sent; and whatever ends the world
  SweepOutput sweep(const SweepInput& input);

  [[nodiscard]] std::uint64_t vocabulary() const { return graph_.vocabulary; }

 private:
  void check(const SweepInput& input) const;
  void embed(std::span<const TokenId> tokens, std::uint32_t most_rows);
  void run_unit(std::uint32_t unit, const std::byte* weights, const SweepInput& input);
  void keep_logit_rows(std::span<const std::uint32_t> logit_rows);
  [[nodiscard]] KvView kv_of_layer(std::uint32_t layer) const;
  [[nodiscard]] float* activation(ActivationId id) const { return activations_[id].floats(); }

  const Graph& graph_;
  const Layout& layout_;
  const RunShape shape_;
  Device& device_;
  Communicator& comm_;
  Gather& gather_;
  const UnitHook on_unit_;
  const std::vector<std::uint32_t> order_;        // units a sweep runs: blocks, then head
  const std::vector<std::uint32_t> blocks_only_;  // when no rank wants logits

  std::vector<HostBuffer> activations_;
  HostBuffer kv_cache_;
  HostBuffer logits_;
  HostBuffer rotary_;
  HostBuffer rows_;
  HostBuffer device_scratch_;
};

}  // namespace initrt
