#include "runtime/exec/row_mover.h"

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/exec/linear_weights.h"

namespace initrt {
namespace {

constexpr std::uint32_t kNoExpert = ~0u;

std::span<const std::byte> bytes_at(const float* at, std::uint64_t floats) {
  return {reinterpret_cast<const std::byte*>(at), floats * sizeof(float)};
}

std::span<std::byte> bytes_at(float* at, std::uint64_t floats) {
  return {reinterpret_cast<std::byte*>(at), floats * sizeof(float)};
}

// `columns` columns of `rows` rows; strides in floats.
CopyPiece block(const float* from, std::uint64_t from_stride, float* to, std::uint64_t to_stride,
                std::uint64_t rows, std::uint64_t columns) {
  return {reinterpret_cast<const std::byte*>(from),
          reinterpret_cast<std::byte*>(to),
          columns * sizeof(float),
          rows,
          from_stride * sizeof(float),
          to_stride * sizeof(float)};
}

std::vector<std::vector<MoveStep>> steps_of(const Graph& graph) {
  std::vector<std::vector<MoveStep>> steps;
  steps.reserve(graph.units.size());
  for (const Unit& unit : graph.units) steps.push_back(move_steps(unit));
  return steps;
}

// The last step of those from `first` on that belong together: products, and what follows where
// their columns stay on their ranks.
std::size_t chain_end(std::span<const MoveStep> steps, std::size_t first) {
  while (steps[first].kind != MoveStep::Kind::Products || steps[first].keeps) ++first;
  return first + 1;
}

// Those of some ascending rows that lie in a range: the first's index, and how many.
RowRange rows_within(std::span<const std::uint32_t> rows, const RowRange& range) {
  const auto first = std::lower_bound(rows.begin(), rows.end(), range.first);
  const auto end = std::lower_bound(first, rows.end(), range.first + range.count);
  return {static_cast<std::uint64_t>(first - rows.begin()),
          static_cast<std::uint64_t>(end - first)};
}

ParamId weight_of(const Op& op) {
  if (const auto* linear = std::get_if<LinearOp>(&op)) return linear->weight;
  return std::get<HeadOp>(op).weight;
}

std::optional<ParamId> bias_of(const Op& op) {
  if (const auto* linear = std::get_if<LinearOp>(&op)) return linear->bias;
  return std::get<HeadOp>(op).bias;
}

ActivationId input_of(const Op& op) {
  if (const auto* linear = std::get_if<LinearOp>(&op)) return linear->in;
  return std::get<HeadOp>(op).in;
}

}  // namespace

RowMover::RowMover(const Graph& graph, const Layout& layout, const Placement& placement,
                   std::uint64_t row_tile, Device& device, Communicator& comm, RowLink& link,
                   Gather& gather, UnitRunner& runner, UnitTimes& times, Ledger& ledger)
    : graph_(graph),
      layout_(layout),
      cut_(placement.cut),
      sizes_(placement.moves),
      row_tile_(row_tile),
      device_(device),
      comm_(comm),
      link_(link),
      gather_(gather),
      runner_(runner),
      times_(times),
      steps_(steps_of(graph)),
      sent_memory_(link.allocate(
          device, ledger,
          std::array<BufferPart, 1>{{{MemoryCategory::Exchange, sizes_.sent_bytes()}}})),
      received_memory_(allocate(device, ledger, MemoryCategory::Exchange, sizes_.received_bytes())),
      inputs_(sent_memory_.floats()),
      received_(received_memory_.floats()),
      begin_(comm.size() + 1) {
  for (std::uint32_t i = 0; i < sizes_.parts; ++i) {
    parts_.push_back(inputs_ + sizes_.inputs + i * sizes_.columns);
  }
  out_.resize(comm.size());
  in_.resize(comm.size());
  arrived_.resize(comm.size());
}

void RowMover::begin(std::span<const std::uint32_t> rows_of_ranks) {
  begin_[0] = 0;
  for (std::size_t rank = 0; rank < rows_of_ranks.size(); ++rank) {
    begin_[rank + 1] = begin_[rank] + rows_of_ranks[rank];
  }
  gathered_.reset();
}

template <class Run>
void RowMover::for_slabs(Run run) {
  for (std::uint64_t first = 0; first < begin_.back(); first += sizes_.rows) {
    run(Slab{first, std::min(first + sizes_.rows, begin_.back())});
  }
}

void RowMover::run(std::uint32_t unit) {
  const std::span<const MoveStep> steps = steps_[unit];
  for (std::size_t i = 0; i < steps.size();) {
    if (steps[i].kind == MoveStep::Kind::Local) {
      const std::uint32_t op = steps[i++].first;
      runner_.run_op(unit, op, gather_.replicated(unit));
      // It may have changed what was gathered. Routing does not: experts read the router's rows.
      if (!std::holds_alternative<RouteOp>(ops(unit)[op])) gathered_.reset();
      continue;
    }
    const std::size_t end = chain_end(steps, i);
    for_slabs([&](const Slab& slab) { run_slab(unit, steps.subspan(i, end - i), slab); });
    i = end;
  }
}

void RowMover::run_slab(std::uint32_t unit, std::span<const MoveStep> steps, const Slab& slab) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const MoveStep& step = steps[i];
    if (step.kind == MoveStep::Kind::Gate) {
      gate(std::get<GateOp>(ops(unit)[step.first]), steps[i - 1], unit);
      continue;
    }
    if (step.of_columns) {
      gather_columns(steps[i - 2], slab.rows(), unit);
    } else {
      gather_rows(input_of(ops(unit)[step.first]), slab, unit);
    }
    next_part(slab.rows());
    multiply(unit, step, inputs_, slab.rows(), 0, gather_.own_chunk(unit));
    if (!step.keeps) return_columns(unit, step, slab);
  }
}

// inputs_ = the slab's rows of an activation.
void RowMover::gather_rows(ActivationId from, const Slab& slab, std::uint32_t unit) {
  if (gathered_ == from) return;
  const std::uint64_t columns = graph_.activations[from].columns;
  const RowRange own = part_of(comm_.rank(), slab);
  const auto place = [&](const RowRange& rows) { return inputs_ + rows.first * columns; };
  const CopyPiece piece = block(runner_.activation(from) + first_own(slab) * columns, 0, place(own),
                                0, own.count > 0 ? 1 : 0, own.count * columns);
  device_.copy(std::span(&piece, 1));
  for (std::uint32_t peer = 0; peer < comm_.size(); ++peer) {
    const bool self = peer == comm_.rank();
    const RowRange rows = part_of(peer, slab);
    out_[peer] = bytes_at(place(own), self ? 0 : own.count * columns);
    in_[peer] = bytes_at(place(rows), self ? 0 : rows.count * columns);
  }
  send_receive(unit);
  gathered_.reset();
  if (slab.rows() == begin_.back()) gathered_ = from;
}

// inputs_ = what a gate left on the ranks, whole rows of it.
void RowMover::gather_columns(const MoveStep& kept, std::uint64_t rows, std::uint32_t unit) {
  const std::uint32_t rank = comm_.rank();
  const std::uint64_t whole =
      graph_.activations[std::get<LinearOp>(ops(unit)[kept.first]).out].columns;
  pieces_.clear();
  for (std::uint32_t peer = 0; peer < comm_.size(); ++peer) {
    const RowRange theirs = columns(unit, kept.first, peer), own = columns(unit, kept.first, rank);
    const bool self = peer == rank;
    float* const received = received_ + rows * theirs.first;
    out_[peer] = bytes_at(made_.at, self ? 0 : rows * own.count);
    in_[peer] = bytes_at(received, self ? 0 : rows * theirs.count);
    if (theirs.count == 0) continue;
    pieces_.push_back(block(self ? made_.at : received, theirs.count, inputs_ + theirs.first, whole,
                            rows, theirs.count));
  }
  send_receive(unit);
  device_.copy(pieces_);
  gathered_.reset();
}

// Of columns that stay here each op's are by themselves, as a gate wants them; others lie side by
// side, so that what goes to a rank is one piece of memory.
float* RowMover::place_of(std::uint32_t unit, const MoveStep& step, std::uint32_t op) const {
  std::uint64_t before = 0;
  for (std::uint32_t i = step.first; i < op; ++i) before += columns(unit, i, comm_.rank()).count;
  return made_.at + (step.keeps ? padded_rows(made_.all_rows, row_tile_) * before : before);
}

void RowMover::next_part(std::uint64_t all_rows) {
  made_ = {parts_[next_part_], all_rows};
  next_part_ = (next_part_ + 1) % parts_.size();
}

// @param in [rows, in columns] @param first_row of the place that they go to
void RowMover::multiply(std::uint32_t unit, const MoveStep& step, const float* in,
                        std::uint64_t rows, std::uint64_t first_row, const std::byte* chunk) {
  const std::uint64_t all = width(unit, step, comm_.rank());
  const auto rows_of = [&](ParamId param) {
    return RowBlocks(chunk + cut_.units[unit].params[param].offset);
  };
  products_.clear();
  for (std::uint32_t i = step.first; i < step.first + step.count; ++i) {
    const std::uint64_t count = columns(unit, i, comm_.rank()).count;
    if (count == 0) continue;
    const std::uint64_t stride = step.keeps ? count : all;
    const ParamId weight = weight_of(ops(unit)[i]);
    const auto* linear = std::get_if<LinearOp>(&ops(unit)[i]);
    const std::uint32_t groups = linear != nullptr ? linear->groups : 1;
    const std::uint64_t in_columns = graph_.activations[input_of(ops(unit)[i])].columns;
    LinearWeights weights = linear_weights(layout_, unit, weight, rows_of(weight),
                                           chunk + cut_.units[unit].params[weight].scales_offset,
                                           in_columns / groups, count);
    if (const auto bias = bias_of(ops(unit)[i])) weights.bias = rows_of(*bias);
    add_groups({weights, place_of(unit, step, i) + first_row * stride, stride}, groups, in_columns,
               columns(unit, i, comm_.rank()).first, products_);
  }
  if (!products_.empty() && rows > 0) device_.linear_of_each(in, products_, rows);
}

// In place of what is gated.
void RowMover::gate(const GateOp& op, const MoveStep& kept, std::uint32_t unit) {
  float* gated = nullptr;
  const float* up = nullptr;
  for (std::uint32_t i = kept.first; i < kept.first + kept.count; ++i) {
    const ActivationId out = std::get<LinearOp>(ops(unit)[i]).out;
    if (out == op.gate) gated = place_of(unit, kept, i);
    if (out == op.up) up = place_of(unit, kept, i);
  }
  device_.gate(op.gating, gated, up, gated,
               made_.all_rows * columns(unit, kept.first, comm_.rank()).count);
  made_.at = gated;
}

// Each rank's rows of this rank's columns go to it, and its own rows of all columns come.
void RowMover::return_columns(std::uint32_t unit, const MoveStep& step, const Slab& slab) {
  const std::uint32_t rank = comm_.rank();
  const RowRange own = part_of(rank, slab);
  const std::uint64_t own_width = width(unit, step, rank), row = first_own(slab);
  pieces_.clear();
  float* received = received_;
  for (std::uint32_t peer = 0; peer < comm_.size(); ++peer) {
    const bool self = peer == rank;
    const RowRange theirs = part_of(peer, slab);
    const std::uint64_t their_width = width(unit, step, peer);
    out_[peer] = bytes_at(made_.at + theirs.first * own_width, self ? 0 : theirs.count * own_width);
    in_[peer] = bytes_at(received, self ? 0 : own.count * their_width);
    const float* from = self ? made_.at + own.first * own_width : received;
    for (std::uint32_t i = step.first; i < step.first + step.count; ++i) {
      const RowRange part = columns(unit, i, peer);
      const auto [to, stride] = runner_.output(unit, i);
      if (part.count > 0 && own.count > 0) {
        pieces_.push_back(block(from, their_width, to + row * stride + part.first, stride,
                                own.count, part.count));
      }
      from += part.count;
    }
    if (!self) received += own.count * their_width;
  }
  send_receive(unit);
  device_.copy(pieces_);
  if (own.count == 0) return;
  for (std::uint32_t i = step.first; i < step.first + step.count; ++i) {
    runner_.finish_output(unit, i, row, own.count);
  }
}

void RowMover::send_receive(std::uint32_t unit) {
  std::uint64_t bytes = 0;
  for (std::size_t peer = 0; peer < in_.size(); ++peer) {
    bytes += out_[peer].size() + in_[peer].size();
  }
  times_.measure(unit, Lane::Exchange, bytes, [&] { link_.send_receive(out_, in_); });
}

RowRange RowMover::columns(std::uint32_t unit, std::uint32_t op, std::uint32_t rank) const {
  const ParamId weight = weight_of(ops(unit)[op]);
  return cut_.rows_of(unit, weight, graph_.units[unit].params[weight].rows, rank);
}

std::uint64_t RowMover::width(std::uint32_t unit, const MoveStep& step, std::uint32_t rank) const {
  std::uint64_t sum = 0;
  for (std::uint32_t i = step.first; i < step.first + step.count; ++i) {
    sum += columns(unit, i, rank).count;
  }
  return sum;
}

RowRange RowMover::part_of(std::uint32_t rank, const Slab& slab) const {
  const std::uint64_t first = std::clamp(begin_[rank], slab.begin, slab.end);
  const std::uint64_t end = std::clamp(begin_[rank + 1], slab.begin, slab.end);
  return {first - slab.begin, end - first};
}

std::uint64_t RowMover::first_own(const Slab& slab) const {
  return slab.begin + part_of(comm_.rank(), slab).first - std::min(begin_[comm_.rank()], slab.end);
}

// --- experts ---

void RowMover::share_choices(const RouteOp& route) {
  std::uint64_t most = 0;
  for (std::uint32_t rank = 0; rank < comm_.size(); ++rank) {
    most = std::max(most, begin_[rank + 1] - begin_[rank]);
  }
  choices_of_rank_ = most * route.routing.chosen;
  mine_.assign(choices_of_rank_, {kNoExpert, 0});
  choices_.resize(choices_of_rank_ * comm_.size());
  std::ranges::copy(runner_.choices(), mine_.begin());
  comm_.all_gather(std::as_bytes(std::span(mine_)), std::as_writable_bytes(std::span(choices_)));
}

// told(choice, row of the slab) of every choice of the slab's rows, by row.
template <class Told>
void RowMover::for_choices(const Slab& slab, std::uint32_t chosen, Told told) const {
  for (std::uint32_t rank = 0; rank < comm_.size(); ++rank) {
    const RowRange part = part_of(rank, slab);
    for (std::uint64_t i = 0; i < part.count; ++i) {
      const std::uint64_t row = slab.begin + part.first + i - begin_[rank];
      for (std::uint32_t c = 0; c < chosen; ++c) {
        told(choices_[rank * choices_of_rank_ + row * chosen + c],
             static_cast<std::uint32_t>(part.first + i));
      }
    }
  }
}

// taken_ = which rows of a slab chose which experts: counted first, then put in their places.
void RowMover::take(std::uint32_t router, const Slab& slab) {
  const Routing& routing = std::get<RouteOp>(ops(router).back()).routing;
  expert_ends_.assign(routing.experts, 0);
  for_choices(slab, routing.chosen,
              [&](const ExpertChoice& of, std::uint32_t) { ++expert_ends_[of.expert]; });
  std::uint64_t begin = 0;
  for (std::uint64_t& end : expert_ends_) begin += std::exchange(end, begin);
  taken_rows_.resize(begin);
  taken_weights_.resize(begin);
  for_choices(slab, routing.chosen, [&](const ExpertChoice& of, std::uint32_t row) {
    const std::uint64_t place = expert_ends_[of.expert]++;
    taken_rows_[place] = row;
    taken_weights_[place] = of.weight;
  });
  taken_.clear();
  begin = 0;
  for (std::uint32_t expert = 0; expert < routing.experts; ++expert) {
    const std::uint64_t end = expert_ends_[expert];
    if (end == begin) continue;
    taken_.push_back({router + 1 + expert, expert, begin,
                      std::span(taken_rows_).subspan(begin, end - begin),
                      std::span(taken_weights_).subspan(begin, end - begin)});
    begin = end;
  }
}

std::span<const std::uint32_t> RowMover::run_experts(std::uint32_t router) {
  experts_.clear();
  share_choices(std::get<RouteOp>(ops(router).back()));
  for_slabs([&](const Slab& slab) {
    take(router, slab);
    for (const Taken& taken : taken_) experts_.push_back(taken.unit);
    run_expert_slab(slab);
  });
  std::sort(experts_.begin(), experts_.end());
  experts_.erase(std::unique(experts_.begin(), experts_.end()), experts_.end());
  return experts_;
}

// Step by step of all experts at once, which are alike: their rows travel together.
void RowMover::run_expert_slab(const Slab& slab) {
  const std::uint32_t any = taken_.front().unit;
  const std::uint64_t all_rows = taken_.back().begin + taken_.back().rows.size();
  const std::span<const MoveStep> steps = steps_[any];
  bool weighted = false;  // what experts take
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const MoveStep& step = steps[i];
    const Op& op = ops(any)[step.first];
    if (const auto* take = std::get_if<TakeRowsOp>(&op)) {
      gather_rows(take->in, slab, any);
      weighted = take->weighted;
    } else if (const auto* gated = std::get_if<GateOp>(&op)) {
      gate(*gated, steps[i - 1], any);
    } else if (const auto* add = std::get_if<AddRowsOp>(&op)) {
      return_experts(steps[i - 1], *add, slab);
    } else {
      const std::uint64_t in_columns = graph_.activations[input_of(op)].columns;
      if (step.of_columns) gather_columns(steps[i - 2], all_rows, any);
      next_part(all_rows);
      for (const Taken& taken : taken_) {
        const float* in = inputs_ + taken.begin * in_columns;
        if (!step.of_columns) {
          float* const to = inputs_ + padded_rows(slab.rows(), row_tile_) * in_columns;
          device_.take_rows(inputs_, taken.rows,
                            weighted ? taken.weights : std::span<const float>(), in_columns, to);
          in = to;
        }
        multiply(taken.unit, step, in, taken.rows.size(), taken.begin,
                 gather_.own_chunk(taken.unit));
      }
    }
  }
}

// As return_columns(), of rows that lie by expert and go to their ranks by expert.
void RowMover::return_experts(const MoveStep& step, const AddRowsOp& add, const Slab& slab) {
  const std::uint32_t rank = comm_.rank(), any = taken_.front().unit;
  const std::uint64_t own_width = width(any, step, rank);
  const float* const made = made_.at;
  next_part(made_.all_rows);
  pieces_.clear();
  float* packed = made_.at;
  std::uint64_t own_rows = 0;
  for (std::uint32_t peer = 0; peer < comm_.size(); ++peer) {
    const RowRange part = part_of(peer, slab);
    const float* const begin = packed;
    std::uint64_t rows = 0;
    for (const Taken& taken : taken_) {
      const RowRange theirs = rows_within(taken.rows, part);
      rows += theirs.count;
      if (theirs.count * own_width == 0) continue;
      pieces_.push_back(block(made + (taken.begin + theirs.first) * own_width, 0, packed, 0, 1,
                              theirs.count * own_width));
      packed += theirs.count * own_width;
    }
    out_[peer] = bytes_at(begin, rows * own_width);
    if (peer == rank) own_rows = rows;
  }
  device_.copy(pieces_);
  std::vector<const float*>& from = arrived_;
  float* received = received_;
  for (std::uint32_t peer = 0; peer < comm_.size(); ++peer) {
    const bool self = peer == rank;
    const std::uint64_t floats = self ? 0 : own_rows * width(any, step, peer);
    in_[peer] = bytes_at(received, floats);
    from[peer] = self ? reinterpret_cast<const float*>(out_[rank].data()) : received;
    received += floats;
  }
  out_[rank] = {};
  send_receive(any);
  for (const Taken& taken : taken_) add_expert(taken, step, add, slab);
}

// What an expert made of this rank's rows: from all ranks' columns, the next of arrived_.
void RowMover::add_expert(const Taken& taken, const MoveStep& step, const AddRowsOp& add,
                          const Slab& slab) {
  const RowRange part = part_of(comm_.rank(), slab);
  const std::uint64_t rows = rows_within(taken.rows, part).count;
  if (rows == 0) return;
  const std::uint64_t whole = graph_.activations[add.x].columns;
  pieces_.clear();
  for (std::uint32_t peer = 0; peer < comm_.size(); ++peer) {
    const RowRange theirs = columns(taken.unit, step.first, peer);
    if (theirs.count == 0) continue;
    pieces_.push_back(block(arrived_[peer], theirs.count, runner_.activation(add.x) + theirs.first,
                            whole, rows, theirs.count));
    arrived_[peer] += rows * theirs.count;
  }
  device_.copy(pieces_);
  const ExpertRows& routed = runner_.routed()[taken.expert];
  const auto first = static_cast<std::size_t>(
      std::lower_bound(routed.rows.begin(), routed.rows.end(), first_own(slab)) -
      routed.rows.begin());
  const auto weights = std::span<const float>(routed.weights).subspan(first, rows);
  device_.add_rows(runner_.activation(add.x), std::span(routed.rows).subspan(first, rows),
                   add.weighted ? weights : std::span<const float>(), whole,
                   runner_.activation(add.into));
}

// Of a whole unit that is this rank's chunk again and again.
void RowMover::warm_up_op(std::uint32_t unit, std::uint32_t op) {
  const std::uint32_t row = 0;
  const float weight = 1;
  if (const auto* take = std::get_if<TakeRowsOp>(&ops(unit)[op])) {
    device_.take_rows(runner_.activation(take->in), std::span(&row, 1), {},
                      graph_.activations[take->in].columns, inputs_);
  } else if (const auto* add = std::get_if<AddRowsOp>(&ops(unit)[op])) {
    device_.add_rows(runner_.activation(add->x), std::span(&row, 1), std::span(&weight, 1),
                     graph_.activations[add->x].columns, runner_.activation(add->into));
  } else {
    runner_.run_op(unit, op, {gather_.own_place(unit), 0});
  }
}

// Before anything is loaded: on chunks that have not arrived.
void RowMover::warm_up() {
  begin_.assign(begin_.size(), 0);
  for (std::uint32_t unit = 0; unit < graph_.units.size(); ++unit) {
    for (const MoveStep& step : steps_[unit]) {
      if (step.kind == MoveStep::Kind::Products) {
        next_part(1);
        multiply(unit, step, inputs_, 1, 0, gather_.own_place(unit));
      } else {
        warm_up_op(unit, step.first);
      }
    }
  }
  const std::uint64_t floats = sizes_.received / comm_.size();
  for (std::uint32_t peer = 0; peer < comm_.size(); ++peer) {
    const bool self = peer == comm_.rank();
    out_[peer] = bytes_at(static_cast<const float*>(inputs_),
                          self ? 0 : std::min<std::uint64_t>(floats, 64));
    in_[peer] = bytes_at(received_ + peer * floats, self ? 0 : std::min<std::uint64_t>(floats, 64));
  }
  link_.send_receive(out_, in_);
}

}  // namespace initrt
