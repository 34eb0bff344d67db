#include "runtime/exec/unit_runner.h"

#include <algorithm>

#include "sharding/overload.h"

namespace initrt {

UnitRunner::UnitRunner(const Graph& graph, const Layout& layout, const RunShape& shape,
                       Device& device, Ledger& ledger)
    : graph_(graph),
      layout_(layout),
      shape_(shape),
      device_(device),
      kv_cache_(ledger, MemoryCategory::KvCache,
                kv_cache_bytes(graph, layout.dtype, shape.sequences, shape.context)),
      logits_(ledger, MemoryCategory::Logits, shape.logit_rows * graph.vocabulary * sizeof(float)),
      rotary_(ledger, MemoryCategory::Scratch, rotary_table_bytes(graph, shape.sweep_rows)),
      device_scratch_(ledger, MemoryCategory::Scratch, shape.device_scratch) {
  for (const Activation& buffer : graph.activations) {
    activations_.emplace_back(ledger, MemoryCategory::Activations,
                              shape.sweep_rows * buffer.columns * sizeof(float));
  }
  device_.set_scratch(device_scratch_.span());
}

KvView UnitRunner::kv_of_layer(std::uint32_t layer) const {
  const std::uint64_t half = kv_cache_.bytes() / graph_.layers / 2;
  std::byte* const k = kv_cache_.data() + layer * 2 * half;
  return {k, k + half, layout_.dtype, static_cast<std::uint32_t>(shape_.context)};
}

const float* UnitRunner::rotary_table(std::uint32_t rotary) const {
  std::uint64_t before = 0;
  for (std::uint32_t i = 0; i < rotary; ++i) before += graph_.rotary[i].dimensions;
  return rotary_.floats() + shape_.sweep_rows * before;
}

void UnitRunner::begin(std::span<const RowInfo> rows, const std::byte* embedded) {
  rows_ = rows;
  running_ = rows.size();
  device_.to_float(embedded, layout_.dtype, activation(graph_.hidden),
                   rows.size() * columns(graph_.hidden));
  float* table = rotary_.floats();
  for (const RotarySpec& rotary : graph_.rotary) {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      fill_rotary_row(rotary, rows[r].position, std::max(rows[r].length, rows[r].position + 1),
                      {table + r * rotary.dimensions, rotary.dimensions});
    }
    table += shape_.sweep_rows * rotary.dimensions;
  }
}

void UnitRunner::keep_rows(std::span<const std::uint32_t> rows) {
  float* const hidden = activation(graph_.hidden);
  device_.take_rows(hidden, rows, columns(graph_.hidden), hidden);
  running_ = rows.size();
}

void UnitRunner::route(const RouteOp& op) {
  routed_.resize(op.experts);
  for (ExpertRows& expert : routed_) {
    expert.rows.clear();
    expert.weights.clear();
  }
  choices_.resize(running_ * op.chosen);
  if (running_ == 0) return;
  device_.route(activation(op.scores), running_, op.experts, op.chosen, op.normalize, choices_);
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    ExpertRows& expert = routed_[choices_[i].expert];
    expert.rows.push_back(static_cast<std::uint32_t>(i / op.chosen));
    expert.weights.push_back(choices_[i].weight);
  }
}

struct UnitRunner::Run {
  UnitRunner& runner;
  const Unit& unit;
  const UnitLayout& places;
  const std::byte* weights;
  std::uint64_t rows;
  const ExpertRows* expert;  // null in what is none

  [[nodiscard]] const std::byte* weight(ParamId param) const {
    return weights + places.params[param].offset;
  }
  [[nodiscard]] const std::byte* weight(std::optional<ParamId> param) const {
    return param ? weight(*param) : nullptr;
  }
  [[nodiscard]] DType dtype() const { return runner.layout_.dtype; }
  [[nodiscard]] float* at(ActivationId id) const { return runner.activation(id); }
  [[nodiscard]] std::uint64_t columns(ActivationId id) const { return runner.columns(id); }

  void operator()(const NormOp& op) const {
    runner.device_.norm(op.kind, at(op.in),
                        {weight(op.weight), weight(op.bias), dtype(), op.weight_offset}, op.epsilon,
                        at(op.out), rows * (columns(op.in) / op.group), op.group);
  }
  void operator()(const LinearOp& op) const {
    runner.device_.linear(
        at(op.in), {weight(op.weight), weight(op.bias), dtype(), columns(op.in), columns(op.out)},
        at(op.out), rows, columns(op.out));
  }
  void operator()(const RotaryOp& op) const {
    runner.device_.rotary(at(op.x), rows, op.heads, runner.graph_.head_size,
                          runner.graph_.rotary[op.rotary].dimensions,
                          runner.rotary_table(op.rotary));
  }
  void operator()(const AttentionOp& op) const {
    const AttentionShape shape{op.heads, op.kv_heads, op.head_size,
                               op.scale, op.softcap,  op.window};
    const KvView cache = runner.kv_of_layer(op.layer);
    runner.device_.store_kv(at(op.k), at(op.v), runner.rows_, shape, cache);
    runner.device_.attention(at(op.q), runner.rows_, shape, cache, at(op.out));
  }
  void operator()(const GateOp& op) const {
    runner.device_.gate(op.function, at(op.gate), op.up ? at(*op.up) : nullptr, at(op.out),
                        rows * columns(op.out));
  }
  void operator()(const AddOp& op) const {
    runner.device_.add(at(op.x), at(op.into), rows * columns(op.into));
  }
  void operator()(const ScaleOp& op) const {
    runner.device_.scale(at(op.x), op.factor, rows * columns(op.x));
  }
  void operator()(const PositionOp& op) const {
    runner.device_.add_positions(weight(op.table), dtype(), runner.rows_, at(op.into),
                                 columns(op.into));
  }
  void operator()(const RouteOp& op) const { runner.route(op); }
  void operator()(const TakeRowsOp& op) const {
    runner.device_.take_rows(at(op.in), expert->rows, columns(op.in), at(op.out));
  }
  void operator()(const AddRowsOp& op) const {
    runner.device_.add_rows(at(op.x), expert->rows, expert->weights, columns(op.into), at(op.into));
  }
  void operator()(const HeadOp& op) const {
    float* const logits = runner.logits_.floats() + op.vocabulary_begin;
    const std::uint64_t tile = unit.params[op.weight].rows;
    runner.device_.linear(at(op.in), {weight(op.weight), nullptr, dtype(), columns(op.in), tile},
                          logits, rows, runner.graph_.vocabulary);
    if (op.softcap != 0) {
      runner.device_.softcap(logits, op.softcap, rows, tile, runner.graph_.vocabulary);
    }
  }
};

void UnitRunner::run(std::uint32_t index, const std::byte* weights) {
  const Unit& unit = graph_.units[index];
  const Run run{*this, unit, layout_.units[index], weights, running_, nullptr};
  for (const Op& op : unit.ops) {
    if (running_ > 0 || std::holds_alternative<RouteOp>(op)) std::visit(run, op);
  }
}

void UnitRunner::run_expert(std::uint32_t index, const std::byte* weights,
                            const ExpertRows& chosen) {
  if (chosen.rows.empty()) return;
  const Unit& unit = graph_.units[index];
  const Run run{*this, unit, layout_.units[index], weights, chosen.rows.size(), &chosen};
  for (const Op& op : unit.ops) std::visit(run, op);
}

}  // namespace initrt
