#include "sharding/layout.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt {
namespace {

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
  return checked_sum("a rank's shard", {value, step - 1}) / step * step;
}

// Places rows behind what a unit holds so far. @returns where
std::uint64_t place_rows(const Unit& unit, const Tensor& tensor, std::uint64_t rows,
                         std::uint64_t row_bytes, std::uint64_t& unit_bytes) {
  const std::uint64_t offset = round_up(unit_bytes, kParamAlignment);
  unit_bytes = checked_sum(unit.name, {offset, checked_product(tensor.name, {rows, row_bytes})});
  return offset;
}

void mark_replicated(const Unit& unit, UnitLayout& placed) {
  for (const Op& op : unit.ops) {
    if (const auto* norm = std::get_if<NormOp>(&op)) {
      if (norm->weight) placed.params[*norm->weight].replicated = true;
      if (norm->bias) placed.params[*norm->bias].replicated = true;
    } else if (const auto* position = std::get_if<PositionOp>(&op)) {
      placed.params[position->table].replicated = true;
    } else if (const auto* route = std::get_if<RouteOp>(&op)) {
      if (route->correction) placed.params[*route->correction].replicated = true;
      if (route->factors) placed.params[*route->factors].replicated = true;
    } else if (const auto* factor = std::get_if<FactorOp>(&op)) {
      placed.params[factor->factor].replicated = true;
    } else if (const auto* attention = std::get_if<AttentionOp>(&op)) {
      if (attention->sinks) placed.params[*attention->sinks].replicated = true;
    } else if (const auto* convolution = std::get_if<ConvolutionOp>(&op)) {
      placed.params[convolution->weight].replicated = true;
      if (convolution->bias) placed.params[*convolution->bias].replicated = true;
    } else if (const auto* delta = std::get_if<DeltaOp>(&op)) {
      placed.params[delta->a_log].replicated = true;
      placed.params[delta->dt_bias].replicated = true;
    } else if (const auto* space = std::get_if<StateSpaceOp>(&op)) {
      for (const ParamId param : {space->a_log, space->dt_bias, space->d}) {
        placed.params[param].replicated = true;
      }
    }
  }
}

// Places rows at the end of a chunk. @returns where
std::uint64_t add_rows(std::uint64_t rows, std::uint64_t row_bytes, std::uint64_t& chunk_bytes) {
  const std::uint64_t offset = chunk_bytes;
  const std::uint64_t bytes = checked_product("a rank's shard", {rows, row_bytes});
  chunk_bytes = round_up(checked_sum("a rank's shard", {offset, bytes}), kParamAlignment);
  return offset;
}

UnitCut cut_unit(const UnitLayout& unit, std::uint32_t world) {
  UnitCut cut;
  cut.params.resize(unit.params.size());
  for (const bool replicated : {true, false}) {
    for (std::size_t i = 0; i < unit.params.size(); ++i) {
      const ParamPlace& place = unit.params[i];
      if (place.replicated != replicated) continue;
      ParamCut& param = cut.params[i];
      param.block_rows = divide_up(place.rows, world);
      param.offset = add_rows(param.block_rows, place.row_bytes, cut.chunk_bytes);
      param.scales_offset = add_rows(param.block_rows, place.scale_row_bytes, cut.chunk_bytes);
    }
    if (replicated) cut.replicated_bytes = cut.chunk_bytes;
  }
  return cut;
}

}  // namespace

std::uint64_t Layout::bytes() const {
  std::uint64_t sum = 0;
  for (const UnitLayout& unit : units) sum = checked_sum("the model", {sum, unit.bytes});
  return sum;
}

WeightFormats Layout::formats() const {
  WeightFormats formats;
  for (const UnitLayout& unit : units) {
    for (const ParamPlace& param : unit.params) formats.add(param.format);
  }
  return formats;
}

Layout make_layout(const Graph& graph, const Precision& precision, const Holding& holding) {
  Layout layout;
  layout.dtype = precision.dtype;
  layout.outlier_threshold = holding.outlier_threshold;
  layout.units.reserve(graph.units.size());
  for (const Unit& unit : graph.units) {
    UnitLayout placed;
    for (const Param& param : unit.params) {
      const Tensor& tensor = graph.tensor_of(param);
      ParamPlace place;
      place.rows = param.rows;
      if (!holding.formats.empty()) place.format = holding.formats[param.tensor];
      if (tensor.float32) place.format = WeightFormat::Float32;
      place.row_bytes = row_bytes(place.format, precision.dtype, tensor.columns);
      place.scale_row_bytes = scale_row_bytes(place.format, tensor.columns);
      place.offset = place_rows(unit, tensor, place.rows, place.row_bytes, placed.bytes);
      if (place.scale_row_bytes > 0) {
        place.scales_offset =
            place_rows(unit, tensor, place.rows, place.scale_row_bytes, placed.bytes);
      }
      placed.params.push_back(place);
    }
    mark_replicated(unit, placed);
    layout.units.push_back(std::move(placed));
  }
  return layout;
}

RowRange Cut::rows_of(std::uint32_t unit, std::size_t param, std::uint64_t rows,
                      std::uint32_t rank) const {
  const std::uint64_t block = units[unit].params[param].block_rows;
  const std::uint64_t first = std::min(rows, rank * block);
  return {first, std::min(block, rows - first)};
}

Cut make_cut(const Layout& layout, std::uint32_t world, const std::vector<bool>& resident) {
  if (world == 0) fail("the world size must be at least 1");
  if (!resident.empty() && resident.size() != layout.units.size()) {
    fail("{} units are marked as resident or not, but there are {}", resident.size(),
         layout.units.size());
  }
  Cut cut;
  cut.world = world;
  for (std::size_t i = 0; i < layout.units.size(); ++i) {
    UnitCut placed = cut_unit(layout.units[i], world);
    placed.resident = !resident.empty() && resident[i];
    (void)checked_product("a gathered unit", {placed.chunk_bytes, world});
    placed.replicated_offset = cut.replicated_bytes;
    cut.replicated_bytes = checked_sum("the replicated parameters",
                                       {cut.replicated_bytes, placed.replicated_bytes * world});
    cut.units.push_back(std::move(placed));
  }
  std::uint64_t end = 0;
  const auto place = [&](bool wanted) {
    for (std::uint32_t i = 0; i < cut.units.size(); ++i) {
      UnitCut& unit = cut.units[i];
      if (unit.resident != wanted) continue;
      unit.offset = end;
      end = checked_sum("a rank's shard", {end, wanted ? cut.gathered_bytes(i) : unit.chunk_bytes});
    }
  };
  place(false);
  cut.chunks_bytes = end;
  place(true);
  cut.resident_bytes = end - cut.chunks_bytes;
  return cut;
}

}  // namespace initrt
