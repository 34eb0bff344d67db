#include "sharding/scale_coding.h"

#include <algorithm>

#include "sharding/checked.h"

namespace initrt {

std::uint64_t CodedScales::first_row(std::uint32_t rank) const {
  return std::min(rows, rank * block_rows);
}

std::uint64_t CodedScales::begin_of(std::uint32_t rank) const {
  return first_row(rank) * row_scales;
}

UnitScales unit_scales(const Graph& graph, const Layout& layout, std::uint32_t unit,
                       std::uint32_t world) {
  UnitScales unit_scales;
  for (std::size_t i = 0; i < layout.units[unit].params.size(); ++i) {
    const ParamPlace& place = layout.units[unit].params[i];
    if (!has_coded_scales(place.format)) continue;
    CodedScales scales;
    scales.param = i;
    scales.rows = place.rows;
    scales.columns = graph.tensor_of(graph.units[unit].params[i]).columns;
    scales.row_scales = coded_scale_row(scales.columns).scales;
    scales.block_rows = divide_up(scales.rows, world);
    const std::uint64_t most = checked_product("scales", {scales.block_rows, scales.row_scales});
    if (world > 1 && most % kScaleBlock != 0) scales.told = std::min(most, kScaleBlock - 1);
    // Rows of codes are made from the first one on, and end where the floats do, or behind: so none
    // reaches the floats of a later row, whichever of both is longer.
    const std::uint64_t floats = checked_product("scales", {most, sizeof(float)});
    const std::uint64_t codes =
        checked_product("scales", {scales.block_rows, place.scale_row_bytes});
    const std::uint64_t bytes = checked_sum("scales", {std::max(floats, codes), 7}) / 8 * 8;
    scales.codes = unit_scales.scale_bytes;
    scales.floats = checked_sum("scales", {scales.codes, bytes - floats});
    unit_scales.scale_bytes = checked_sum("scales", {scales.codes, bytes});
    scales.message = unit_scales.message_bytes;
    // An even number of floats: the next sum is aligned.
    unit_scales.message_bytes +=
        kSumWords * sizeof(std::uint64_t) + 2 * scales.told * sizeof(float);
    unit_scales.params.push_back(scales);
  }
  return unit_scales;
}

ScaleMemory scale_memory(const Graph& graph, const Layout& layout, std::uint32_t world) {
  ScaleMemory memory;
  memory.world = world;
  for (std::uint32_t unit = 0; unit < graph.units.size(); ++unit) {
    const UnitScales scales = unit_scales(graph, layout, unit, world);
    memory.slot_bytes = std::max(memory.slot_bytes, scales.scale_bytes);
    memory.message_bytes = std::max(memory.message_bytes, scales.message_bytes);
  }
  return memory;
}

}  // namespace initrt
