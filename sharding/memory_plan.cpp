#include "sharding/memory_plan.h"

#include <algorithm>

#include "sharding/budget.h"
#include "sharding/checked.h"
#include "sharding/error.h"
#include "sharding/kv_cache.h"
#include "sharding/scale_coding.h"

namespace initrt {
namespace {

bool is_gathered(const Unit& unit) { return unit.kind != UnitKind::Embedding; }

// Units that are gathered on demand: how many, and the largest one's bytes.
struct Gathered {
  std::uint64_t units = 0, largest = 0;
};

// By unit: it and those behind it. One more at the end, of none.
std::vector<Gathered> gathered_from(const Graph& graph, const Cut& cut) {
  std::vector<Gathered> from(graph.units.size() + 1);
  for (auto unit = static_cast<std::uint32_t>(graph.units.size()); unit-- > 0;) {
    from[unit] = from[unit + 1];
    if (!is_gathered(graph.units[unit]) || cut.units[unit].resident) continue;
    ++from[unit].units;
    from[unit].largest = std::max(from[unit].largest, cut.gathered_bytes(unit));
  }
  return from;
}

// Host memory that does not depend on which units are resident.
struct HostNeeds {
  std::uint64_t pinned = 0;  // but for slots
  HostSlots slots;           // of units that go through the host: the sizes of one
};

// Fills in what follows from the cut's totals and from the costs: whether weights move, in how many
// slots, and the memory that units take.
void place_units(const RunShape& shape, const HostNeeds& host, const Gathered& gathered,
                 Placement& placement) {
  const bool collective = shape.gather == GatherKind::Collective;
  MemoryPlan& memory = placement.memory;
  placement.replicated_bytes =
      collective && shape.moved_rows > 0 ? placement.cut.replicated_bytes : 0;
  memory[MemoryCategory::Shard] = placement.cut.chunks_bytes;
  memory[MemoryCategory::Resident] = placement.cut.resident_bytes + placement.replicated_bytes;
  const std::uint64_t ranks = shape.active_ranks == 0 ? placement.cut.world : shape.active_ranks;
  placement.moves_weights = true;  // or moves_rows() would not compare
  placement.moves_weights =
      !moves_rows(shape, placement, ranks * shape.sweep_rows, shape.sweep_rows);
  if (collective) {
    placement.slots = placement.moves_weights ? static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                                    shape.prefetch + 1ull, gathered.units))
                                              : 0;
    memory[MemoryCategory::Slots] =
        checked_product("the set of slots", {placement.slots, gathered.largest});
  }
  memory[MemoryCategory::Pinned] = host.pinned;
  if (shape.through_host) {
    HostSlots slots = host.slots;
    slots.slots = std::max(placement.slots, 1u);
    memory[MemoryCategory::Pinned] = checked_sum("pinned memory", {host.pinned, slots.bytes()});
  }
}

// Which units a budget keeps resident: the first ones, as many as fit. Not smaller ones behind
// them that might: more budget must never make fewer resident.
// @param placement with none resident
std::vector<bool> units_that_fit(const Graph& graph, const Layout& layout, const RunShape& shape,
                                 const HostNeeds& host, Placement placement) {
  const std::vector<Gathered> gathered = gathered_from(graph, placement.cut);
  std::vector<bool> resident(graph.units.size(), false);
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    if (!is_gathered(graph.units[unit])) continue;
    placement.cut.chunks_bytes -= placement.cut.units[unit].chunk_bytes;
    placement.cut.resident_bytes = checked_sum(
        "a rank's shard", {placement.cut.resident_bytes, placement.cut.gathered_bytes(unit)});
    placement.costs.leave_out(graph, layout, unit);
    place_units(shape, host, gathered[unit + 1], placement);
    if (placement.memory.device_total(shape.device.discrete_memory) > shape.budget) break;
    resident[unit] = true;
  }
  return resident;
}

}  // namespace

std::string_view name(MemoryCategory category) {
  constexpr std::array<std::string_view, kMemoryCategories> kNames = {
      "shard",  "resident", "slots",    "staging",    "kv_cache", "activations",
      "logits", "scratch",  "exchange", "conversion", "pinned"};
  return kNames.at(static_cast<std::size_t>(category));
}

std::uint64_t MemoryPlan::total() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t part : bytes) sum = checked_sum("this job", {sum, part});
  return sum;
}

std::uint64_t MemoryPlan::host_total(bool discrete_memory) const {
  if (!discrete_memory) return total();
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kMemoryCategories; ++i) {
    if (is_host_memory(static_cast<MemoryCategory>(i)))
      sum = checked_sum("this job", {sum, bytes[i]});
  }
  return sum;
}

std::uint64_t MemoryPlan::device_total(bool discrete_memory) const {
  return discrete_memory ? total() - host_total(discrete_memory) : total();
}

std::uint64_t RunShape::padded(std::uint64_t rows) const {
  const std::uint64_t tile = device.row_tile;
  return checked_product("the rows of a sweep", {divide_up(rows, tile), tile});
}

std::uint64_t moved_rows(const RunShape& shape, std::uint32_t world) {
  constexpr std::uint64_t kRows = 128;
  if (world == 1 || shape.move == Move::Weights) return 0;
  const std::uint64_t ranks = shape.active_ranks == 0 ? world : shape.active_ranks;
  const std::uint64_t most = checked_product("the rows of a sweep", {ranks, shape.sweep_rows});
  return std::min(most, std::max(kRows, ranks * std::max(shape.sequences, shape.logit_rows)));
}

WeightPath weight_path(const RunShape& shape) {
  return {.in_place = shape.gather == GatherKind::InPlace,
          .overlaps = shape.device.discrete_memory && shape.prefetch > 0};
}

bool moves_rows(const RunShape& shape, const Placement& placement, std::uint64_t rows,
                std::uint64_t own_rows) {
  if (shape.moved_rows == 0) return false;
  if (!placement.moves_weights) return true;  // there is no room to gather a unit
  // In place weights do not move, but each rank would read all of them, and have all of its rows'
  // arithmetic to do: shared out, neither is more.
  if (shape.move == Move::Activations || shape.gather == GatherKind::InPlace) return true;
  const MoveCosts& costs = placement.costs;
  if (!shape.speeds.of_moving()) return costs.of_rows(rows, own_rows) <= costs.of_weights(rows);
  return time_of_rows(costs, shape.speeds, shape.moved_rows, rows, own_rows).seconds() <=
         time_of_weights(costs, shape.speeds, weight_path(shape), rows, own_rows).seconds();
}

HostSlots host_slots(const Graph& graph, const Cut& cut, std::uint32_t slots) {
  HostSlots host{std::max(slots, 1u), 0, 0};
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    if (!is_gathered(graph.units[unit])) continue;
    host.chunk_bytes = std::max(host.chunk_bytes, cut.units[unit].chunk_bytes);
    host.whole_bytes = std::max(host.whole_bytes, cut.gathered_bytes(unit));
  }
  return host;
}

std::uint64_t widest_linear_input(const Graph& graph) {
  std::uint64_t widest = 0;
  for (std::size_t unit = 0; unit < graph.units.size(); ++unit) {
    const bool expert = graph.units[unit].kind == UnitKind::Expert;
    if (expert && graph.units[unit - 1].kind == UnitKind::Expert) continue;  // of the same shape
    for (const Op& op : graph.units[unit].ops) {
      if (const auto* linear = std::get_if<LinearOp>(&op)) {
        widest = std::max(widest, graph.activations[linear->in].columns);
      } else if (const auto* head = std::get_if<HeadOp>(&op)) {
        widest = std::max(widest, graph.activations[head->in].columns);
      }
    }
  }
  return widest;
}

const ParamPlace& embedding_place(const Graph& graph, const Layout& layout) {
  const TableTile& tile = graph.embedding.front();
  return layout.units[tile.unit].params[tile.param];
}

std::uint64_t embedding_row_bytes(const Graph& graph, const Layout& layout) {
  std::uint64_t bytes = embedding_place(graph, layout).row_bytes;
  for (const TableTile& table : graph.further_tables) {
    bytes = checked_sum("a token's rows",
                        {bytes, layout.units[table.unit].params[table.param].row_bytes});
  }
  return bytes;
}

std::uint64_t rotary_table_bytes(const Graph& graph, std::uint64_t sweep_rows) {
  std::uint64_t columns = 0;
  for (const RotarySpec& rotary : graph.rotary) columns += rotary.dimensions;
  return checked_product("the rotary tables", {sweep_rows, columns, sizeof(float)});
}

std::uint64_t row_buffer_bytes(const Graph& graph, const Layout& layout, const RunShape& shape) {
  const std::uint64_t buffers = shape.gather == GatherKind::Collective ? 3 : 1;
  return checked_product("the embedding rows of a sweep",
                         {buffers, shape.sweep_rows, embedding_row_bytes(graph, layout)});
}

std::uint64_t staged_row_bytes(const Graph& graph, const Layout& layout, const RunShape& shape,
                               const MoveSizes& moves) {
  return std::max(shape.sweep_rows * embedding_row_bytes(graph, layout), moves.message_bytes());
}

Placement plan_memory(const Graph& graph, const Layout& layout, std::uint32_t world,
                      const RunShape& shape) {
  Placement placement;
  MemoryPlan& memory = placement.memory;
  memory[MemoryCategory::Staging] = checked_sum(
      "staging memory", {shape.staging_bytes, scale_memory(graph, layout, world).bytes()});
  const std::uint64_t sweep_rows = shape.padded(shape.sweep_rows);
  memory[MemoryCategory::KvCache] =
      kv_layout(graph, layout.dtype, shape.sequences, shape.context, shape.sweep_rows).bytes;
  for (const Activation& activation : graph.activations) {
    const std::uint64_t bytes =
        checked_product(activation.name, {sweep_rows, activation.columns, sizeof(float)});
    memory[MemoryCategory::Activations] =
        checked_sum("activation memory", {memory[MemoryCategory::Activations], bytes});
  }
  memory[MemoryCategory::Logits] = checked_product(
      "the logits buffer", {shape.padded(shape.logit_rows), graph.vocabulary, sizeof(float)});
  const std::uint64_t results =
      checked_product("the logits buffer", {shape.logit_rows, graph.vocabulary, sizeof(float)});
  if (shape.device.discrete_memory) {
    memory[MemoryCategory::Conversion] = shape.staging_bytes;
    memory[MemoryCategory::Pinned] = checked_sum(
        "pinned memory", {shape.device.pinned_bytes, shape.device.upload_bytes, results});
  }
  memory[MemoryCategory::Scratch] = checked_sum(
      "scratch memory", {rotary_table_bytes(graph, shape.sweep_rows),
                         row_buffer_bytes(graph, layout, shape), shape.device.scratch_bytes});
  placement.cut = make_cut(layout, world);
  placement.costs = move_costs(graph, layout, placement.cut);
  placement.moves =
      move_sizes(graph, placement.cut, shape.moved_rows, shape.sweep_rows, shape.device.row_tile);
  memory[MemoryCategory::Exchange] =
      placement.moves.sent_bytes() + placement.moves.received_bytes();
  HostNeeds host{memory[MemoryCategory::Pinned], {}};
  if (shape.through_host) {
    host.pinned =
        checked_sum("pinned memory",
                    {host.pinned, 2 * staged_row_bytes(graph, layout, shape, placement.moves)});
    host.slots = host_slots(graph, placement.cut, 0);
  }
  place_units(shape, host, gathered_from(graph, placement.cut).front(), placement);
  const std::uint64_t least = memory.device_total(shape.device.discrete_memory);
  if (shape.budget == 0) return placement;
  if (least > shape.budget) {
    throw BudgetTooSmall(
        fmt::format("memory.budget is {} bytes, but this job needs at least {} on each of {} ranks",
                    shape.budget, least, world));
  }
  if (shape.gather == GatherKind::InPlace) return placement;  // whole units cost nothing as it is
  const std::vector<bool> resident = units_that_fit(graph, layout, shape, host, placement);
  Placement kept = placement;
  kept.cut = make_cut(layout, world, resident);
  kept.costs = move_costs(graph, layout, kept.cut);
  place_units(shape, host, gathered_from(graph, kept.cut).front(), kept);
  // Where no sweep gathers a unit, nobody would read it whole.
  if (kept.moves_weights) return kept;
  return placement;
}

}  // namespace initrt
