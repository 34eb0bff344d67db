#include "sharding/memory_plan.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/error.h"
#include "sharding/kv_cache.h"
#include "sharding/scale_coding.h"

namespace initrt {
namespace {

bool is_gathered(const Unit& unit) { return unit.kind != UnitKind::Embedding; }

// What sweeps that move rows take, and whether none moves weights.
void place_moves(const Graph& graph, const Layout& layout, const RunShape& shape,
                 Placement& placement) {
  const Cut& cut = placement.cut;
  placement.costs = move_costs(graph, layout, cut);
  placement.moves =
      move_sizes(graph, cut, shape.moved_rows, shape.sweep_rows, shape.device.row_tile);
  placement.memory[MemoryCategory::Exchange] =
      placement.moves.sent_bytes() + placement.moves.received_bytes();
  const std::uint64_t ranks = shape.active_ranks == 0 ? cut.world : shape.active_ranks;
  placement.moves_weights = true;
  placement.moves_weights =
      !moves_rows(shape, placement, ranks * shape.sweep_rows, shape.sweep_rows);
  if (shape.gather != GatherKind::Collective || shape.moved_rows == 0) return;
  placement.replicated_bytes = cut.replicated_bytes;
  placement.memory[MemoryCategory::Resident] += placement.replicated_bytes;
}

// Slots for the units that are gathered on demand, each of the largest one's size.
void place_slots(const Graph& graph, std::uint32_t prefetch, Placement& placement) {
  placement.slots = 0;
  placement.memory[MemoryCategory::Slots] = 0;
  if (!placement.moves_weights) return;
  std::uint64_t largest = 0, units = 0;
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    if (!is_gathered(graph.units[unit]) || placement.cut.units[unit].resident) continue;
    largest = std::max(largest, placement.cut.gathered_bytes(unit));
    ++units;
  }
  placement.slots = static_cast<std::uint32_t>(std::min<std::uint64_t>(prefetch + 1ull, units));
  placement.memory[MemoryCategory::Slots] =
      checked_product("the set of slots", {placement.slots, largest});
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
  for (const Unit& unit : graph.units) {
    for (const Op& op : unit.ops) {
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
  const std::uint64_t pinned = memory[MemoryCategory::Pinned];
  const auto cut_with = [&](const std::vector<bool>& resident) {
    placement.cut = make_cut(layout, world, resident);
    memory[MemoryCategory::Shard] = placement.cut.chunks_bytes;
    memory[MemoryCategory::Resident] = placement.cut.resident_bytes;
    place_moves(graph, layout, shape, placement);
    if (shape.gather == GatherKind::Collective) place_slots(graph, shape.prefetch, placement);
    if (shape.through_host) {
      memory[MemoryCategory::Pinned] = checked_sum(
          "pinned memory", {pinned, host_slots(graph, placement.cut, placement.slots).bytes(),
                            2 * staged_row_bytes(graph, layout, shape, placement.moves)});
    }
    return memory.device_total(shape.device.discrete_memory);
  };
  std::vector<bool> resident(graph.units.size(), false);
  const std::uint64_t least = cut_with(resident);
  if (shape.budget == 0) return placement;
  if (least > shape.budget) {
    fail("memory.budget is {} bytes, but this job needs at least {} on each of {} ranks",
         shape.budget, least, world);
  }
  if (shape.gather == GatherKind::InPlace) return placement;  // whole units cost nothing as it is
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    if (!is_gathered(graph.units[unit])) continue;
    resident[unit] = true;
    if (cut_with(resident) <= shape.budget) continue;
    // Not followed by smaller ones that might fit: more budget must never make fewer resident.
    resident[unit] = false;
    break;
  }
  cut_with(resident);
  // Where no sweep gathers a unit, nobody would read it whole.
  if (!placement.moves_weights) cut_with(std::vector<bool>(graph.units.size(), false));
  return placement;
}

}  // namespace initrt
