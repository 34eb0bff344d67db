#include "runtime/exec/engine.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sharding/error.h"
#include "sharding/overload.h"

namespace initrt {
namespace {

// What every rank tells the others before a sweep.
struct SweepHeader {
  std::uint32_t rows = 0;
  std::uint32_t logit_rows = 0;
  std::uint32_t finished = 0;
};

// Angles as the reference computes them: inverse frequencies and angles in float32.
void fill_rotary_table(const RotarySpec& spec, std::uint64_t context, float* table) {
  const std::uint32_t half = spec.dimensions / 2;
  std::vector<float> inverse(half);
  for (std::uint32_t i = 0; i < half; ++i) {
    const double exponent = 2.0 * i / spec.dimensions;
    inverse[i] = static_cast<float>(1.0 / std::pow(spec.theta, exponent));
  }
  for (std::uint64_t position = 0; position < context; ++position) {
    float* const row = table + position * spec.dimensions;
    for (std::uint32_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position) * inverse[i];
      row[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      row[half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
}

std::vector<std::uint32_t> only_blocks(const Graph& graph, std::vector<std::uint32_t> order) {
  std::erase_if(order,
                [&](std::uint32_t unit) { return graph.units[unit].kind != UnitKind::Block; });
  return order;
}

}  // namespace

Engine::Engine(const Graph& graph, const Layout& layout, const RunShape& shape, Device& device,
               Communicator& comm, Gather& gather, Ledger& ledger, UnitHook on_unit)
    : graph_(graph),
      layout_(layout),
      shape_(shape),
      device_(device),
      comm_(comm),
      gather_(gather),
      on_unit_(std::move(on_unit)),
      order_(graph.execution_order()),
      blocks_only_(only_blocks(graph, order_)),
      kv_cache_(ledger, MemoryCategory::KvCache,
                kv_cache_bytes(graph, layout.dtype, shape.sequences, shape.context)),
      logits_(ledger, MemoryCategory::Logits, shape.logit_rows * graph.vocabulary * sizeof(float)),
      rotary_(ledger, MemoryCategory::Scratch, rotary_table_bytes(graph, shape.context)),
      rows_(ledger, MemoryCategory::Scratch, shape.sweep_rows * embedding_row_bytes(graph, layout)),
      device_scratch_(ledger, MemoryCategory::Scratch, shape.device_scratch) {
  for (const Activation& buffer : graph.activations) {
    activations_.emplace_back(ledger, MemoryCategory::Activations,
                              shape.sweep_rows * buffer.columns * sizeof(float));
  }
  fill_rotary_table(graph.rotary, shape.context, rotary_.floats());
  device_.set_scratch(device_scratch_.span());
}

void Engine::check(const SweepInput& input) const {
  if (input.tokens.size() != input.rows.size() || input.rows.size() > shape_.sweep_rows ||
      input.logit_rows.size() > shape_.logit_rows) {
    fail("a sweep of {} tokens, {} rows and {} logit rows; planned were {} rows and {} logit rows",
         input.tokens.size(), input.rows.size(), input.logit_rows.size(), shape_.sweep_rows,
         shape_.logit_rows);
  }
  for (std::size_t i = 0; i < input.tokens.size(); ++i) {
    if (input.tokens[i] < 0 || static_cast<std::uint64_t>(input.tokens[i]) >= graph_.vocabulary) {
      fail("token id {} is outside the vocabulary of {}", input.tokens[i], graph_.vocabulary);
    }
    if (input.rows[i].position >= shape_.context || input.rows[i].sequence >= shape_.sequences) {
      fail("position {} of sequence {} is outside the context of {} and batch of {}",
           input.rows[i].position, input.rows[i].sequence, shape_.context, shape_.sequences);
    }
  }
  for (std::size_t i = 0; i < input.logit_rows.size(); ++i) {
    const std::uint32_t row = input.logit_rows[i];
    if (row >= input.rows.size() || (i > 0 && row <= input.logit_rows[i - 1])) {
      fail("logit row {} is not one of a sweep's {} rows, in ascending order", row,
           input.rows.size());
    }
  }
}

KvView Engine::kv_of_layer(std::uint32_t layer) const {
  const std::uint64_t half = kv_cache_.bytes() / graph_.layers / 2;
  std::byte* const k = kv_cache_.data() + layer * 2 * half;
  return {k, k + half, layout_.dtype, static_cast<std::uint32_t>(shape_.context)};
}

void Engine::embed(std::span<const TokenId> tokens, std::uint32_t most_rows) {
  gather_.fetch_rows(tokens, most_rows, rows_.span());
  const std::uint64_t columns = graph_.activations[graph_.hidden].columns;
  device_.to_float(rows_.data(), layout_.dtype, activation(graph_.hidden), tokens.size() * columns);
}

// The head runs on the rows that want logits alone: they move to the front, in order.
void Engine::keep_logit_rows(std::span<const std::uint32_t> logit_rows) {
  device_.synchronize();
  const std::uint64_t columns = graph_.activations[graph_.hidden].columns;
  float* const hidden = activation(graph_.hidden);
  for (std::size_t i = 0; i < logit_rows.size(); ++i) {
    if (logit_rows[i] == i) continue;
    std::memcpy(hidden + i * columns, hidden + logit_rows[i] * columns, columns * sizeof(float));
  }
}

void Engine::run_unit(std::uint32_t index, const std::byte* weights, const SweepInput& input) {
  const Unit& unit = graph_.units[index];
  const DType dtype = layout_.dtype;
  const std::uint64_t rows =
      unit.kind == UnitKind::Head ? input.logit_rows.size() : input.rows.size();
  if (rows == 0) return;
  const auto weight = [&](ParamId param) {
    return weights + layout_.units[index].params[param].offset;
  };
  const auto columns = [&](ActivationId id) { return graph_.activations[id].columns; };
  const auto shape_of = [](const AttentionOp& op) {
    return AttentionShape{op.heads, op.kv_heads, op.head_size, op.scale};
  };
  const Overload run{
      [&](const RmsNormOp& op) {
        device_.rms_norm(activation(op.in), weight(op.weight), dtype, op.epsilon,
                         activation(op.out), rows, columns(op.in));
      },
      [&](const LinearOp& op) {
        device_.linear(activation(op.in), weight(op.weight), dtype, activation(op.out), rows,
                       columns(op.in), columns(op.out), columns(op.out));
      },
      [&](const RotaryOp& op) {
        device_.rotary(activation(op.x), input.rows, op.heads, graph_.head_size,
                       graph_.rotary.dimensions, rotary_.floats());
      },
      [&](const AttentionOp& op) {
        const KvView cache = kv_of_layer(op.layer);
        device_.store_kv(activation(op.k), activation(op.v), input.rows, shape_of(op), cache);
        device_.attention(activation(op.q), input.rows, shape_of(op), cache, activation(op.out));
      },
      [&](const GateOp& op) {
        switch (op.function) {
          case GateFunction::Silu:
            device_.silu_gate(activation(op.gate), activation(op.up), activation(op.out),
                              rows * columns(op.out));
        }
      },
      [&](const AddOp& op) {
        device_.add(activation(op.x), activation(op.into), rows * columns(op.into));
      },
      [&](const HeadOp& op) {
        device_.linear(activation(op.in), weight(op.weight), dtype,
                       logits_.floats() + op.vocabulary_begin, rows, columns(op.in),
                       unit.params[op.weight].rows, graph_.vocabulary);
      },
  };
  for (const Op& op : unit.ops) std::visit(run, op);
}

SweepOutput Engine::sweep(const SweepInput& input) {
  check(input);
  const SweepHeader mine{static_cast<std::uint32_t>(input.rows.size()),
                         static_cast<std::uint32_t>(input.logit_rows.size()), input.finished};
  std::vector<SweepHeader> all(comm_.size());
  comm_.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
  std::uint32_t most_rows = 0;
  bool any_logits = false;
  SweepOutput output;
  for (const SweepHeader& header : all) {
    most_rows = std::max(most_rows, header.rows);
    any_logits = any_logits || header.logit_rows > 0;
    output.any_finished = output.any_finished || header.finished > 0;
  }
  if (most_rows == 0) return output;

  const std::vector<std::uint32_t>& order = any_logits ? order_ : blocks_only_;
  gather_.begin_sweep(order);
  embed(input.tokens, most_rows);
  bool in_head = false;
  for (const std::uint32_t unit : order) {
    if (on_unit_) on_unit_(unit);
    if (graph_.units[unit].kind == UnitKind::Head && !in_head) {
      keep_logit_rows(input.logit_rows);
      in_head = true;
    }
    run_unit(unit, gather_.acquire(unit), input);
    gather_.release(unit);
  }
  device_.synchronize();
  output.any = true;
  output.logits = {logits_.floats(), input.logit_rows.size() * graph_.vocabulary};
  return output;
}

}  // namespace initrt
