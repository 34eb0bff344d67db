#include "runtime/exec/unit_runner.h"

#include <algorithm>

#include "runtime/exec/linear_weights.h"
#include "sharding/overload.h"

namespace initrt {
namespace {

constexpr std::size_t kRotaryBytes = 64 << 10;  // of the rotary tables, written at once

}  // namespace

UnitRunner::UnitRunner(const Graph& graph, const Layout& layout, const Cut& cut,
                       const RunShape& shape, Device& device, Ledger& ledger)
    : graph_(graph),
      layout_(layout),
      cut_(cut),
      shape_(shape),
      device_(device),
      kv_layout_(kv_layout(graph, layout.dtype, shape.sequences, shape.context, shape.sweep_rows)),
      kv_cache_(allocate(device, ledger, MemoryCategory::KvCache, kv_layout_.bytes)),
      logits_(allocate(device, ledger, MemoryCategory::Logits,
                       shape.padded(shape.logit_rows) * graph.vocabulary * sizeof(float))),
      rotary_(allocate(device, ledger, MemoryCategory::Scratch,
                       rotary_table_bytes(graph, shape.sweep_rows))),
      device_scratch_(
          allocate(device, ledger, MemoryCategory::Scratch, shape.device.scratch_bytes)),
      pinned_(device.allocate_host(ledger, MemoryCategory::Pinned, shape.device.pinned_bytes)) {
  for (const Activation& buffer : graph.activations) {
    activations_.push_back(
        allocate(device, ledger, MemoryCategory::Activations,
                 shape.padded(shape.sweep_rows) * buffer.columns * sizeof(float)));
  }
  if (shape.device.discrete_memory) {
    results_ = device.allocate_host(ledger, MemoryCategory::Pinned,
                                    shape.logit_rows * graph.vocabulary * sizeof(float));
  }
  device_.set_scratch(device_scratch_.span(), pinned_.span(), shape.product_rows());
}

KvView UnitRunner::kv_of_layer(std::uint32_t layer) const {
  const KvPlace& place = kv_layout_.layers[layer];
  return {kv_cache_.data() + place.k, place.has_values ? kv_cache_.data() + place.v : nullptr,
          layout_.dtype, place.positions, place.ring};
}

float* UnitRunner::states_of(StateId state) const {
  return reinterpret_cast<float*>(kv_cache_.data() + kv_layout_.states[state].offset);
}

const float* UnitRunner::rotary_table(std::uint32_t rotary) const {
  std::uint64_t before = 0;
  for (std::uint32_t i = 0; i < rotary; ++i) before += graph_.rotary[i].dimensions;
  return rotary_.floats() + shape_.sweep_rows * before;
}

// Some rows at a time, so that the host's copy stays small.
void UnitRunner::fill_rotary(const RotarySpec& rotary, std::span<const RowInfo> rows,
                             float* table) {
  const std::size_t columns = rotary.dimensions;
  const std::size_t most = std::max<std::size_t>(kRotaryBytes / sizeof(float) / columns, 1);
  while (!rows.empty()) {
    const std::span<const RowInfo> some = rows.first(std::min(most, rows.size()));
    rotary_rows_.resize(some.size() * columns);
    for (std::size_t r = 0; r < some.size(); ++r) {
      fill_rotary_row(rotary, some[r].position, std::max(some[r].length, some[r].position + 1),
                      std::span(rotary_rows_).subspan(r * columns, columns));
    }
    device_.write(std::as_bytes(std::span(rotary_rows_)), reinterpret_cast<std::byte*>(table));
    table += some.size() * columns;
    rows = rows.subspan(some.size());
  }
}

void UnitRunner::begin(std::span<const RowInfo> rows, std::span<const std::uint32_t> logit_rows) {
  rows_ = running_ = rows.size();
  logit_rows_ = logit_rows.size();
  device_.set_rows(rows, logit_rows);
  float* table = rotary_.floats();
  for (const RotarySpec& rotary : graph_.rotary) {
    fill_rotary(rotary, rows, table);
    table += shape_.sweep_rows * rotary.dimensions;
  }
}

void UnitRunner::embed(const std::byte* embedded) {
  running_ = rows_;
  const WeightFormat format = embedding_place(graph_, layout_).format;
  const std::uint64_t elements = rows_ * columns(graph_.embedded);
  if (format == WeightFormat::Plain) {
    device_.to_float(embedded, layout_.dtype, activation(graph_.embedded), elements);
  } else {
    device_.decode_rows(embedded, format, layout_.dtype, activation(graph_.embedded), elements);
  }
}

void UnitRunner::keep_logit_rows() {
  device_.keep_rows(activation(graph_.hidden), columns(graph_.hidden));
  running_ = logit_rows_;
}

void UnitRunner::fetch_logits() {
  const std::uint64_t bytes = logit_rows_ * graph_.vocabulary * sizeof(float);
  if (results_.bytes() == 0 || bytes == 0) return;
  device_.read(logits_.data(), results_.span().first(bytes));
}

std::span<const Sampled> UnitRunner::sample(const SamplerOptions& options,
                                            std::span<const double> draws) {
  sampled_.resize(logit_rows_);
  if (logit_rows_ > 0) {
    device_.sample(logits_.floats(), logit_rows_, graph_.vocabulary, options, draws, sampled_);
  }
  return sampled_;
}

void UnitRunner::route(const RouteOp& op, const RouteVectors& vectors) {
  const Routing& routing = op.routing;
  routed_.resize(routing.experts);
  for (ExpertRows& expert : routed_) {
    expert.rows.clear();
    expert.weights.clear();
  }
  choices_.resize(running_ * routing.chosen);
  if (running_ == 0) return;
  device_.route(activation(op.scores), running_, routing, vectors, choices_);
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    ExpertRows& expert = routed_[choices_[i].expert];
    expert.rows.push_back(static_cast<std::uint32_t>(i / routing.chosen));
    expert.weights.push_back(choices_[i].weight);
  }
}

struct UnitRunner::Run {
  UnitRunner& runner;
  const Unit& unit;
  std::uint32_t index;
  WholeUnit weights;
  std::uint64_t rows;
  const ExpertRows* expert;  // null unless the unit is an expert

  [[nodiscard]] RowBlocks weight(ParamId param) const {
    return runner.cut_.blocks(index, param, weights);
  }
  [[nodiscard]] RowBlocks weight(std::optional<ParamId> param) const {
    return param ? weight(*param) : RowBlocks();
  }
  [[nodiscard]] DType dtype() const { return runner.layout_.dtype; }
  [[nodiscard]] float* at(ActivationId id) const { return runner.activation(id); }
  [[nodiscard]] std::uint64_t columns(ActivationId id) const { return runner.columns(id); }

  void operator()(const NormOp& op) const {
    const std::uint64_t sets = op.weight ? unit.params[*op.weight].rows / op.group : 1;
    runner.device_.norm(op.kind, at(op.in),
                        {weight(op.weight), weight(op.bias), dtype(), op.weight_offset, sets},
                        op.epsilon, at(op.out), rows * (columns(op.in) / op.group), op.group);
  }
  [[nodiscard]] LinearWeights product_weights(ParamId param, std::uint64_t in_columns,
                                              std::uint64_t out_columns) const {
    return linear_weights(runner.layout_, index, param, weight(param),
                          runner.cut_.scales(index, param, weights), in_columns, out_columns);
  }
  void add_products(const LinearOp& op, std::vector<LinearProduct>& products) const {
    LinearProduct product{product_weights(op.weight, columns(op.in) / op.groups, columns(op.out)),
                          at(op.out), columns(op.out)};
    product.weights.bias = weight(op.bias);
    add_groups(product, op.groups, columns(op.in), 0, products);
  }
  void operator()(const LinearOp& op) const {
    runner.products_.clear();
    add_products(op, runner.products_);
    runner.device_.linear_of_each(at(op.in), runner.products_, rows);
  }
  void operator()(const RotaryOp& op) const {
    const auto heads = static_cast<std::uint32_t>(columns(op.x) / op.head_size);
    runner.device_.rotary(at(op.x), rows, heads, op.head_size,
                          runner.graph_.rotary[op.rotary].dimensions,
                          runner.rotary_table(op.rotary));
  }
  void operator()(const JoinOp& op) const { runner.join(op, rows); }
  void operator()(const SliceOp& op) const { runner.slice(op, rows); }
  void operator()(const AttentionOp& op) const {
    const AttentionShape shape{op.heads,  op.kv_heads,   op.head_size,     op.scale, op.softcap,
                               op.window, op.value_size, weight(op.sinks), op.alibi, op.chunks};
    const KvView cache = runner.kv_of_layer(op.layer);
    if (op.k) runner.device_.store_kv(at(*op.k), op.v ? at(*op.v) : nullptr, shape, cache);
    runner.device_.attention(at(op.q), shape, cache, at(op.out));
  }
  void operator()(const ConvolutionOp& op) const {
    const auto taps = static_cast<std::uint32_t>(unit.params[op.weight].rows);
    runner.device_.convolve(at(op.x), {weight(op.weight), dtype(), taps, weight(op.bias)},
                            columns(op.x), runner.states_of(op.state));
  }
  void operator()(const DeltaOp& op) const {
    const DeltaShape shape{op.key_heads,  op.value_heads,   op.key_size,
                           op.value_size, weight(op.a_log), weight(op.dt_bias)};
    runner.device_.delta_rule({at(op.q), at(op.k), at(op.v), at(op.decay), at(op.beta), at(op.out)},
                              shape, runner.states_of(op.state));
  }
  void operator()(const StateSpaceOp& op) const {
    const StateSpaceShape shape{op.groups,        op.heads,           op.state_size, op.head_size,
                                weight(op.a_log), weight(op.dt_bias), weight(op.d)};
    runner.device_.state_space(
        {at(op.x), at(op.b), at(op.c), at(op.step), at(op.decay), at(op.out)}, shape,
        runner.states_of(op.state));
  }
  void operator()(const GateOp& op) const {
    runner.device_.gate(op.gating, at(op.gate), op.up ? at(*op.up) : nullptr, at(op.out),
                        rows * columns(op.out));
  }
  void operator()(const RowGateOp& op) const {
    runner.device_.gate_rows(at(op.gate), at(op.x), rows, columns(op.x));
  }
  void operator()(const AddOp& op) const {
    runner.device_.add(at(op.x), at(op.into), rows * columns(op.into));
  }
  void operator()(const ScaleOp& op) const {
    runner.device_.scale(at(op.x), op.factor, rows * columns(op.x));
  }
  void operator()(const FactorOp& op) const {
    runner.device_.scale_by(weight(op.factor), at(op.x), rows * columns(op.x));
  }
  void operator()(const PositionOp& op) const {
    runner.device_.add_positions(weight(op.table), dtype(), at(op.into), columns(op.into));
  }
  void operator()(const RouteOp& op) const {
    runner.route(op, {weight(op.correction), weight(op.factors)});
  }
  // Of those that chose the expert; none where they do not count.
  [[nodiscard]] std::span<const float> choice_weights(bool weighted) const {
    return weighted ? std::span<const float>(expert->weights) : std::span<const float>();
  }
  void operator()(const TakeRowsOp& op) const {
    runner.device_.take_rows(at(op.in), expert->rows, choice_weights(op.weighted), columns(op.in),
                             at(op.out));
  }
  void operator()(const AddRowsOp& op) const {
    runner.device_.add_rows(at(op.x), expert->rows, choice_weights(op.weighted), columns(op.into),
                            at(op.into));
  }
  void operator()(const HeadOp& op) const {
    float* const logits = runner.logits_.floats() + op.vocabulary_begin;
    const std::uint64_t tile = unit.params[op.weight].rows;
    LinearWeights head = product_weights(op.weight, columns(op.in), tile);
    head.bias = weight(op.bias);
    runner.device_.linear(at(op.in), head, logits, rows, runner.graph_.vocabulary);
    runner.cap(op, tile, 0, rows);
  }
};

void UnitRunner::join(const JoinOp& op, std::uint64_t rows) {
  const std::uint64_t a = columns(op.a) / op.heads, b = columns(op.b) / op.heads;
  const auto part = [&](ActivationId from, std::uint64_t size, std::uint64_t at) {
    return CopyPiece{reinterpret_cast<const std::byte*>(activation(from)),
                     reinterpret_cast<std::byte*>(activation(op.out) + at),
                     size * sizeof(float),
                     rows * op.heads,
                     size * sizeof(float),
                     (a + b) * sizeof(float)};
  };
  pieces_ = {part(op.a, a, 0), part(op.b, b, a)};
  device_.copy(pieces_);
}

void UnitRunner::slice(const SliceOp& op, std::uint64_t rows) {
  const std::uint64_t bytes = columns(op.out) * sizeof(float);
  pieces_ = {{reinterpret_cast<const std::byte*>(activation(op.in) + op.first),
              reinterpret_cast<std::byte*>(activation(op.out)), bytes, rows,
              columns(op.in) * sizeof(float), bytes}};
  device_.copy(pieces_);
}

void UnitRunner::cap(const HeadOp& op, std::uint64_t tile, std::uint64_t first,
                     std::uint64_t rows) {
  if (op.softcap == 0) return;
  device_.softcap(logits_.floats() + first * graph_.vocabulary + op.vocabulary_begin, op.softcap,
                  rows, tile, graph_.vocabulary);
}

std::pair<float*, std::uint64_t> UnitRunner::output(std::uint32_t unit, std::uint32_t op) const {
  if (const auto* head = std::get_if<HeadOp>(&graph_.units[unit].ops[op])) {
    return {logits_.floats() + head->vocabulary_begin, graph_.vocabulary};
  }
  const ActivationId out = std::get<LinearOp>(graph_.units[unit].ops[op]).out;
  return {activation(out), columns(out)};
}

void UnitRunner::finish_output(std::uint32_t unit, std::uint32_t op, std::uint64_t first,
                               std::uint64_t rows) {
  if (const auto* head = std::get_if<HeadOp>(&graph_.units[unit].ops[op])) {
    cap(*head, graph_.units[unit].params[head->weight].rows, first, rows);
  }
}

void UnitRunner::run_op(std::uint32_t index, std::uint32_t op, WholeUnit weights) {
  const Unit& unit = graph_.units[index];
  // A rank without rows still has to know that none of its rows chose an expert.
  if (running_ == 0 && !std::holds_alternative<RouteOp>(unit.ops[op])) return;
  std::visit(Run{*this, unit, index, weights, running_, nullptr}, unit.ops[op]);
}

// Products of the same inputs that follow each other, as q, k and v do, are asked for together.
void UnitRunner::run_ops(const Run& run) {
  const std::vector<Op>& ops = run.unit.ops;
  for (std::size_t i = 0; i < ops.size();) {
    const auto* const first = std::get_if<LinearOp>(&ops[i]);
    if (first == nullptr) {
      std::visit(run, ops[i++]);
      continue;
    }
    products_.clear();
    for (; i < ops.size(); ++i) {
      const auto* const op = std::get_if<LinearOp>(&ops[i]);
      if (op == nullptr || op->in != first->in) break;
      run.add_products(*op, products_);
    }
    device_.linear_of_each(run.at(first->in), products_, run.rows);
  }
}

void UnitRunner::run(std::uint32_t index, WholeUnit weights) {
  const Unit& unit = graph_.units[index];
  const Run run{*this, unit, index, weights, running_, nullptr};
  if (running_ > 0) {
    run_ops(run);
    return;
  }
  for (const Op& op : unit.ops) {
    if (std::holds_alternative<RouteOp>(op)) std::visit(run, op);
  }
}

void UnitRunner::run_expert(std::uint32_t index, WholeUnit weights, const ExpertRows& chosen) {
  if (chosen.rows.empty()) return;
  const Unit& unit = graph_.units[index];
  const Run run{*this, unit, index, weights, chosen.rows.size(), &chosen};
  run_ops(run);
}

}  // namespace initrt
