#include "sharding/layout.h"

#include <bit>

#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt {
namespace {

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
  return checked_sum("a rank's shard", {value, step - 1}) / step * step;
}

}  // namespace

std::uint64_t Layout::bytes() const {
  std::uint64_t sum = 0;
  for (const UnitLayout& unit : units) sum = checked_sum("the model", {sum, unit.bytes});
  return sum;
}

Layout make_layout(const Graph& graph, const Precision& precision) {
  Layout layout;
  layout.dtype = precision.dtype;
  layout.units.reserve(graph.units.size());
  for (const Unit& unit : graph.units) {
    UnitLayout placed;
    for (const Param& param : unit.params) {
      const Tensor& tensor = graph.tensor_of(param);
      ParamPlace place;
      place.offset = round_up(placed.bytes, kParamAlignment);
      place.bytes =
          bytes_of(precision.dtype, checked_product(tensor.name, {param.rows, tensor.columns}));
      placed.bytes = checked_sum(unit.name, {place.offset, place.bytes});
      placed.params.push_back(place);
    }
    layout.units.push_back(std::move(placed));
  }
  return layout;
}

Cut make_cut(const Layout& layout, std::uint32_t world, Granularity granularity,
             const std::vector<bool>& resident) {
  if (world == 0) fail("the world size must be at least 1");
  if (!std::has_single_bit(granularity.base) || !std::has_single_bit(granularity.huge) ||
      granularity.huge < granularity.base || granularity.base < kParamAlignment) {
    fail("a granularity of {} and {} bytes: both must be powers of two from {} on, in this order",
         granularity.base, granularity.huge, kParamAlignment);
  }
  if (!resident.empty() && resident.size() != layout.units.size()) {
    fail("{} units are marked as resident or not, but there are {}", resident.size(),
         layout.units.size());
  }
  Cut cut;
  cut.world = world;
  std::vector<std::uint64_t> steps;
  for (std::size_t i = 0; i < layout.units.size(); ++i) {
    const std::uint64_t bytes = layout.units[i].bytes;
    const std::uint64_t exact = bytes / world + (bytes % world != 0);
    const std::uint64_t with_huge = round_up(exact, granularity.huge);
    const bool huge = with_huge - exact <= with_huge / 32;
    steps.push_back(huge ? granularity.huge : granularity.base);
    UnitCut placed;
    placed.resident = !resident.empty() && resident[i];
    placed.chunk_bytes = round_up(exact, steps.back());
    (void)checked_product("a gathered unit", {placed.chunk_bytes, world});
    cut.units.push_back(placed);
  }
  std::uint64_t end = 0;
  const auto place = [&](bool wanted) {
    for (std::uint32_t i = 0; i < cut.units.size(); ++i) {
      UnitCut& unit = cut.units[i];
      if (unit.resident != wanted) continue;
      unit.offset = round_up(end, steps[i]);
      end = checked_sum("a rank's shard",
                        {unit.offset, wanted ? cut.gathered_bytes(i) : unit.chunk_bytes});
    }
  };
  place(false);
  cut.chunks_bytes = end;
  place(true);
  cut.resident_bytes = end - cut.chunks_bytes;
  return cut;
}

}  // namespace initrt
