#include "sharding/row_moves.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sharding/checked.h"
#include "sharding/last_rows.h"

namespace initrt {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"auto", "weights", "activations"};
constexpr ActivationId kNothing = ~0u;
// Of a sweep: which rows of the embedding are wanted, and the rows.
constexpr std::uint32_t kExchangesOfEmbedding = 2;

// What an op that is a product reads, and the weights that it is with.
struct Product {
  ActivationId in;
  std::optional<ActivationId> out;  // none: logits
  ParamId weight;
};

std::optional<Product> product_of(const Op& op) {
  if (const auto* linear = std::get_if<LinearOp>(&op)) {
    return Product{linear->in, linear->out, linear->weight};
  }
  if (const auto* head = std::get_if<HeadOp>(&op)) return Product{head->in, {}, head->weight};
  return {};
}

// Whether a gate reads nothing but outputs of ops [first, end).
bool is_fed_by(const GateOp& gate, const std::vector<Op>& ops, std::uint32_t first,
               std::uint32_t end) {
  const auto made = [&](ActivationId id) {
    return std::any_of(ops.begin() + first, ops.begin() + end,
                       [&](const Op& op) { return product_of(op)->out == id; });
  };
  return made(gate.gate) && (!gate.up || made(*gate.up));
}

// Experts' rows are those that chose them: `chosen` for each row.
std::uint64_t rows_per_row(const Graph& graph, std::uint32_t unit) {
  if (graph.units[unit].kind != UnitKind::Expert) return 1;
  std::uint32_t router = unit;
  while (graph.units[router].kind == UnitKind::Expert) --router;
  return std::get<RouteOp>(graph.units[router].ops.back()).routing.chosen;
}

// What a step's products are of: elements of the input, of this rank's columns, and of all columns.
struct StepColumns {
  std::uint64_t in = 0, own = 0, all = 0;
};

StepColumns columns_of(const Graph& graph, const Cut& cut, std::uint32_t unit,
                       const MoveStep& step) {
  StepColumns columns;
  for (std::uint32_t i = step.first; i < step.first + step.count; ++i) {
    const Product product = *product_of(graph.units[unit].ops[i]);
    columns.in = graph.activations[product.in].columns;
    columns.own += cut.units[unit].params[product.weight].block_rows;
    columns.all += graph.units[unit].params[product.weight].rows;
  }
  return columns;
}

std::uint64_t elements(std::uint64_t rows, std::uint64_t columns) {
  return checked_product("the rows of all ranks", {rows, columns});
}

}  // namespace

std::uint64_t padded_rows(std::uint64_t rows, std::uint64_t row_tile) {
  return checked_sum("the rows of a sweep", {rows, 2 * (row_tile - 1)}) / row_tile * row_tile;
}

std::string_view name(Move move) { return kNames.at(static_cast<std::size_t>(move)); }

std::optional<Move> move_from_name(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return {};
  return static_cast<Move>(found - kNames.begin());
}

std::vector<MoveStep> move_steps(const Unit& unit) {
  const std::vector<Op>& ops = unit.ops;
  const auto count = static_cast<std::uint32_t>(ops.size());
  std::vector<MoveStep> steps;
  ActivationId in_columns = kNothing;  // what a gate has left on its ranks
  for (std::uint32_t i = 0; i < count;) {
    const std::optional<Product> first = product_of(ops[i]);
    if (!first) {
      steps.push_back({MoveStep::Kind::Local, i++});
      continue;
    }
    MoveStep step{MoveStep::Kind::Products, i, 0};
    while (i < count && product_of(ops[i]) && product_of(ops[i])->in == first->in) ++i;
    step.count = i - step.first;
    step.of_columns = in_columns == first->in;
    in_columns = kNothing;
    const auto* gate = i < count ? std::get_if<GateOp>(&ops[i]) : nullptr;
    step.keeps = gate != nullptr && is_fed_by(*gate, ops, step.first, i);
    steps.push_back(step);
    if (!step.keeps) continue;
    steps.push_back({MoveStep::Kind::Gate, i++});
    in_columns = gate->out;
  }
  return steps;
}

std::uint64_t MoveSizes::message_bytes() const {
  return std::max({inputs, columns, received}) * sizeof(float);
}

MoveSizes move_sizes(const Graph& graph, const Cut& cut, std::uint64_t rows, std::uint64_t own_rows,
                     std::uint64_t row_tile) {
  MoveSizes sizes;
  if (rows == 0) return sizes;
  sizes.rows = rows;
  sizes.own_rows = std::min(rows, own_rows);
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    const bool expert = graph.units[unit].kind == UnitKind::Expert;
    if (expert && graph.units[unit - 1].kind == UnitKind::Expert) continue;  // of the same shape
    const std::uint64_t each = rows_per_row(graph, unit);
    if (expert) sizes.parts = 3;  // what is returned is put in order first
    const std::uint64_t all_rows = elements(rows, each), mine = elements(sizes.own_rows, each);
    std::uint64_t gated = 0;  // this rank's columns of what a gate leaves
    for (const MoveStep& step : move_steps(graph.units[unit])) {
      if (step.kind != MoveStep::Kind::Products) continue;
      const StepColumns columns = columns_of(graph, cut, unit, step);
      const std::uint64_t padded = padded_rows(all_rows, row_tile);
      // Rows that experts choose are taken from all ranks' rows, an expert's at a time.
      const std::uint64_t inputs =
          expert && !step.of_columns ? 2 * padded_rows(rows, row_tile) : padded;
      sizes.inputs = std::max(sizes.inputs, elements(inputs, columns.in));
      sizes.columns = std::max(sizes.columns, elements(padded, columns.own));
      if (step.of_columns) {
        sizes.received = std::max(sizes.received, elements(all_rows, elements(gated, cut.world)));
      }
      if (!step.keeps) sizes.received = std::max(sizes.received, elements(mine, columns.all));
      gated = columns.own / step.count;
    }
  }
  const std::uint64_t sent =
      checked_sum("the rows of all ranks", {sizes.inputs, elements(sizes.parts, sizes.columns)});
  (void)checked_product(
      "the rows of all ranks",
      {checked_sum("the rows of all ranks", {sent, sizes.received}), sizeof(float)});
  return sizes;
}

void MoveCosts::leave_out(const Graph& graph, const Layout& layout, std::uint32_t unit) {
  const bool expert = graph.units[unit].kind == UnitKind::Expert;
  (expert ? expert_bytes : weight_bytes) -= layout.units[unit].bytes;
  if (!expert) --gathers;
}

double MoveCosts::of_rows(std::uint64_t rows, std::uint64_t own_rows) const {
  const double others = static_cast<double>(world - 1) / world;
  return others * (static_cast<double>(rows) * static_cast<double>(bytes_per_row) +
                   static_cast<double>(own_rows) * static_cast<double>(bytes_per_own_row));
}

double MoveCosts::chosen_part(std::uint64_t rows) const {
  return 1 - std::pow(1 - expert_share, static_cast<double>(rows));
}

double MoveCosts::of_weights(std::uint64_t rows) const {
  const double others = static_cast<double>(world - 1) / world;
  return others * (static_cast<double>(weight_bytes) +
                   static_cast<double>(expert_bytes) * chosen_part(rows));
}

double MoveCosts::read_of_weights(std::uint64_t rows) const {
  return static_cast<double>(product_bytes) +
         static_cast<double>(expert_product_bytes) * chosen_part(rows);
}

std::uint64_t MoveCosts::rows_at_crossing() const {
  return last_rows(world, [this](std::uint64_t rows, std::uint64_t own_rows) {
    return of_rows(rows, own_rows) <= of_weights(rows);
  });
}

namespace {

// Bytes and elements of the weights that a unit's products are with.
struct Weights {
  std::uint64_t bytes = 0, elements = 0;
};

// Of each output element only a part of the inputs counts where there are several.
std::uint32_t groups_of(const Op& op) {
  const auto* const linear = std::get_if<LinearOp>(&op);
  return linear != nullptr ? linear->groups : 1;
}

Weights weights_of(const Graph& graph, const Layout& layout, std::uint32_t unit) {
  Weights weights;
  for (const Op& op : graph.units[unit].ops) {
    const std::optional<Product> product = product_of(op);
    if (!product) continue;
    const ParamPlace& place = layout.units[unit].params[product->weight];
    weights.bytes += place.bytes() + place.rows * place.scale_row_bytes;
    weights.elements += place.rows * graph.activations[product->in].columns / groups_of(op);
  }
  return weights;
}

// Exchanges that a sweep waits for: of rows on their way to products, of columns between them, and
// of what returns.
std::uint32_t exchanges_of(std::span<const MoveStep> steps, bool sent_before) {
  std::uint32_t exchanges = 0;
  for (const MoveStep& step : steps) {
    if (step.kind != MoveStep::Kind::Products) continue;
    exchanges += (sent_before ? 0 : 1) + (step.keeps ? 0 : 1);
  }
  return exchanges;
}

}  // namespace

MoveCosts move_costs(const Graph& graph, const Layout& layout, const Cut& cut) {
  MoveCosts costs;
  costs.world = cut.world;
  costs.exchanges = kExchangesOfEmbedding;
  std::uint32_t experts = 0, chosen = 0;  // of the last router
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    const Unit& each = graph.units[unit];
    if (each.kind == UnitKind::Embedding) continue;
    if (const auto* route = each.ops.empty() ? nullptr : std::get_if<RouteOp>(&each.ops.back())) {
      experts = route->routing.experts;
      chosen = route->routing.chosen;
      costs.expert_share = static_cast<double>(chosen) / experts;
      ++costs.exchanges;  // which experts rows chose
    }
    const bool expert = each.kind == UnitKind::Expert;
    if (!cut.units[unit].resident) {
      (expert ? costs.expert_bytes : costs.weight_bytes) += layout.units[unit].bytes;
      if (!expert) ++costs.gathers;
    }
    const Weights weights = weights_of(graph, layout, unit);
    (expert ? costs.expert_product_bytes : costs.product_bytes) += weights.bytes;
    // A row goes through as many experts as it chooses, all of one shape.
    if (expert && graph.units[unit - 1].kind == UnitKind::Expert) continue;
    costs.operations_per_row += 2.0 * static_cast<double>(weights.elements) * (expert ? chosen : 1);
    const std::uint64_t times = sizeof(float) * (expert ? chosen : 1);
    // Experts' rows are sent once to all of them, and those of the head once to all its tiles.
    const bool sent_before =
        each.kind == UnitKind::Head && unit > 0 && graph.units[unit - 1].kind == UnitKind::Head;
    const std::vector<MoveStep> steps = move_steps(each);
    costs.exchanges += exchanges_of(steps, sent_before);
    for (const MoveStep& step : steps) {
      if (step.kind != MoveStep::Kind::Products) continue;
      const StepColumns columns = columns_of(graph, cut, unit, step);
      if (!sent_before) {
        costs.bytes_per_row += columns.in * (expert && !step.of_columns ? sizeof(float) : times);
      }
      if (!step.keeps) costs.bytes_per_own_row += columns.all * times;
    }
  }
  return costs;
}

}  // namespace initrt
