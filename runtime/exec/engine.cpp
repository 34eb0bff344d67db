#include "runtime/exec/engine.h"

#include <algorithm>

#include "sharding/error.h"

namespace initrt {
namespace {

// The experts that may follow a unit, or none.
std::uint32_t experts_after(const Unit& unit) {
  const auto* route = unit.ops.empty() ? nullptr : std::get_if<RouteOp>(&unit.ops.back());
  return route == nullptr ? 0 : route->routing.experts;
}

std::vector<std::uint32_t> only_blocks(const Graph& graph, std::vector<std::uint32_t> order) {
  std::erase_if(order,
                [&](std::uint32_t unit) { return graph.units[unit].kind != UnitKind::Block; });
  return order;
}

}  // namespace

Engine::Engine(const Graph& graph, const Layout& layout, const Placement& placement,
               const RunShape& shape, Device& device, Communicator& comm, Gather& gather,
               RowLink* link, Ledger& ledger, UnitHook on_unit, Timeline* timeline)
    : graph_(graph),
      layout_(layout),
      shape_(shape),
      device_(device),
      comm_(comm),
      gather_(gather),
      on_unit_(std::move(on_unit)),
      times_(device, timeline, layout),
      order_(graph.execution_order()),
      blocks_only_(only_blocks(graph, order_)),
      has_experts_(std::ranges::any_of(
          graph.units, [](const Unit& unit) { return unit.kind == UnitKind::Expert; })),
      placement_(placement),
      runner_(graph, layout, placement.cut, shape, device, ledger),
      rows_(allocate(device, ledger, MemoryCategory::Scratch,
                     shape.sweep_rows * embedding_row_bytes(graph, layout))),
      headers_(comm.size()),
      reached_(graph.states > 0 ? shape.sequences : 0) {
  if (link != nullptr && placement.moves.rows > 0) {
    mover_.emplace(graph, layout, placement, shape.device.row_tile, device, comm, *link, gather,
                   runner_, times_, ledger);
    if (link->can_be_recorded()) recorded_.emplace(device, comm);
  }
  device_.set_watch([this] { gather_.check(); });
}

Engine::~Engine() { device_.set_watch({}); }

// A state holds what a sequence's last row left, and nothing before.
void Engine::check_order(std::span<const RowInfo> rows) {
  if (reached_.empty()) return;
  ++sweeps_;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto [sequence, position, length] = rows[i];
    Reached& reached = reached_[sequence];
    const bool first = i == 0 || rows[i - 1].sequence != sequence;
    if ((first && reached.sweep == sweeps_) ||
        (position != reached.position && !(first && position == 0))) {
      fail("position {} of sequence {} does not follow position {}, as it has to in this model",
           position, sequence, static_cast<std::int64_t>(reached.position) - 1);
    }
    reached = {position + 1, sweeps_};
  }
}

void Engine::check(const SweepInput& input) {
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
  if (input.sampler != nullptr && (!samples() || input.draws.size() != input.logit_rows.size())) {
    fail("tokens of {} logit rows by {} draws on {}, which {}", input.logit_rows.size(),
         input.draws.size(), device_.name(),
         samples() ? "takes one for each" : "does not choose tokens");
  }
  check_order(input.rows);
}

// The units from order[from] on of which it is certain that they come next: up to one that routes.
std::span<const std::uint32_t> Engine::stretch(std::span<const std::uint32_t> order,
                                               std::size_t from) const {
  std::size_t end = from;
  while (end < order.size() && experts_after(graph_.units[order[end++]]) == 0) {
  }
  return order.subspan(from, end - from);
}

std::vector<std::uint32_t> Engine::chosen_experts(std::uint32_t router) {
  const std::uint32_t experts = experts_after(graph_.units[router]);
  std::vector<std::byte>& wanted = wanted_;
  wanted.assign(experts, std::byte{0});
  for (std::uint32_t e = 0; e < runner_.routed().size(); ++e) {
    if (!runner_.routed()[e].rows.empty()) wanted[e] = std::byte{1};
  }
  gather_.agree(wanted);
  std::vector<std::uint32_t> units;
  for (std::uint32_t e = 0; e < experts; ++e) {
    if (wanted[e] != std::byte{0}) units.push_back(router + 1 + e);
  }
  count_experts(router, units);
  return units;
}

void Engine::count_experts(std::uint32_t router, std::span<const std::uint32_t> run) {
  for (std::uint32_t e = 0; e < experts_after(graph_.units[router]); ++e) {
    experts_.all_bytes += layout_.units[router + 1 + e].bytes;
  }
  for (const std::uint32_t unit : run) experts_.used_bytes += layout_.units[unit].bytes;
}

void Engine::run_experts(std::uint32_t router, std::span<const std::uint32_t> order,
                         std::size_t next) {
  const std::vector<std::uint32_t> chosen = chosen_experts(router);
  gather_.append(chosen);
  gather_.append(stretch(order, next));
  for (const std::uint32_t unit : chosen) {
    if (on_unit_) on_unit_(unit);
    const WholeUnit weights = gather_.acquire(unit);
    times_.measure(unit,
                   [&] { runner_.run_expert(unit, weights, runner_.routed()[unit - router - 1]); });
    gather_.release(unit);
  }
}

// On whatever lies where they would be gathered.
void Engine::warm_up_units(const ExpertRows& expert_rows) {
  for (std::uint32_t unit = 0; unit < graph_.units.size(); ++unit) {
    switch (graph_.units[unit].kind) {
      case UnitKind::Embedding:
        break;
      case UnitKind::Expert:
        runner_.run_expert(unit, gather_.place_of(unit), expert_rows);
        break;
      case UnitKind::Block:
      case UnitKind::Head:
        runner_.run(unit, gather_.place_of(unit));
        break;
    }
  }
}

void Engine::warm_up() {
  const RowInfo row{0, 0, 1};
  const std::uint32_t first = 0;
  const ExpertRows all{{0}, {1.0f}};
  runner_.begin(std::span(&row, 1), std::span(&first, 1));
  runner_.embed(rows_.data());
  runner_.keep_logit_rows();
  if (mover_) mover_->warm_up();
  if (placement_.moves_weights) warm_up_units(all);
  gather_.warm_up();
  runner_.fetch_logits();
  const double draw = 0;
  if (samples()) static_cast<void>(runner_.sample({}, std::span(&draw, 1)));
  device_.synchronize();
}

SweepOutput Engine::sweep(const SweepInput& input) {
  check(input);
  const SweepHeader mine{static_cast<std::uint32_t>(input.rows.size()),
                         static_cast<std::uint32_t>(input.logit_rows.size()), input.finished,
                         input.stop};
  comm_.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(headers_)));
  std::uint32_t most_rows = 0;
  std::uint64_t all_rows = 0;
  bool any_logits = false;
  SweepOutput output;
  for (const SweepHeader& header : headers_) {
    most_rows = std::max(most_rows, header.rows);
    all_rows += header.rows;
    any_logits = any_logits || header.logit_rows > 0;
    output.any_finished = output.any_finished || header.finished > 0;
    output.stop = std::max(output.stop, header.stop);
  }
  if (most_rows == 0) return output;

  const std::vector<std::uint32_t>& order = any_logits ? order_ : blocks_only_;
  // What experts are run is the rows' choice; all else goes by how many rows there are.
  const bool same_ops = gather_.settled() && !has_experts_ && !times_.wanted();
  gather_.fetch_rows(input.tokens, most_rows, rows_.span());
  runner_.begin(input.rows, input.logit_rows);
  if (mover_ && moves_rows(shape_, placement_, all_rows, most_rows)) {
    if (recorded_ && !has_experts_ && !times_.wanted()) {
      repeat_moving_rows(order);
    } else {
      move_rows(order);
    }
  } else if (same_ops) {
    if (on_unit_) on_unit_(order.front());  // if nothing is run anew, no other is told of
    const std::uint64_t key = std::uint64_t{mine.rows} << 32 | mine.logit_rows;
    device_.repeat(any_logits ? key : ~key, [&] { run_units(order); });
  } else {
    run_units(order);
  }
  output.any = true;
  // Apart from what is repeated: draws are other ones in each sweep, and one more launch is little.
  if (input.sampler != nullptr) {
    output.sampled = runner_.sample(*input.sampler, input.draws);
  } else {
    runner_.fetch_logits();
    output.logits = {runner_.logits(), input.logit_rows.size() * graph_.vocabulary};
  }
  device_.synchronize();
  times_.record();
  gather_.record_times();
  return output;
}

// run(unit, index of the next one), and before the head at_head(): the runner has kept the rows
// that want logits.
template <class AtHead, class Run>
void Engine::for_units(std::span<const std::uint32_t> order, AtHead at_head, Run run) {
  bool in_head = false;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t unit = order[i];
    if (on_unit_) on_unit_(unit);
    if (graph_.units[unit].kind == UnitKind::Head && !in_head) {
      runner_.keep_logit_rows();
      at_head();
      in_head = true;
    }
    run(unit, i + 1);
  }
}

// From the start of a pass over the units, for a device that fails to record this runs it again.
void Engine::run_units(std::span<const std::uint32_t> order) {
  gather_.begin_sweep();
  gather_.append(stretch(order, 0));
  runner_.embed(rows_.data());
  for_units(
      order, [] {},
      [&](std::uint32_t unit, std::size_t next) {
        const WholeUnit weights = gather_.acquire(unit);
        times_.measure(unit, [&] { runner_.run(unit, weights); });
        gather_.release(unit);
        if (experts_after(graph_.units[unit]) > 0) run_experts(unit, order, next);
      });
}

// Moved by a device that can enqueue exchanges, too: the ops go by how many rows all ranks have.
void Engine::repeat_moving_rows(std::span<const std::uint32_t> order) {
  if (on_unit_) on_unit_(order.front());  // if nothing is run anew, no other is told of
  sizes_.clear();
  for (const SweepHeader& header : headers_) sizes_.push_back(header.rows);
  for (const SweepHeader& header : headers_) sizes_.push_back(header.logit_rows);
  recorded_->run(sizes_, [&] { move_rows(order); });
}

void Engine::move_rows(std::span<const std::uint32_t> order) {
  const auto begin = [&](std::uint32_t SweepHeader::*rows) {
    rows_of_ranks_.clear();
    for (const SweepHeader& header : headers_) rows_of_ranks_.push_back(header.*rows);
    mover_->begin(rows_of_ranks_);
  };
  runner_.embed(rows_.data());
  mover_->begin_sweep();
  begin(&SweepHeader::rows);
  for_units(
      order, [&] { begin(&SweepHeader::logit_rows); },
      [&](std::uint32_t unit, std::size_t) {
        times_.measure(unit, [&] { mover_->run(unit); });
        if (experts_after(graph_.units[unit]) > 0) count_experts(unit, mover_->run_experts(unit));
      });
}

}  // namespace initrt
