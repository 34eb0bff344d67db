#include "sharding/layout.h"

#include <bit>

#include "sharding/error.h"

namespace initrt {
namespace {

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(value, step - 1, &sum)) fail("a unit of {} bytes overflows", value);
  return sum / step * step;
}

}  // namespace

std::uint64_t Layout::bytes() const {
  std::uint64_t sum = 0;
  for (const UnitLayout& unit : units) sum += unit.bytes;
  return sum;
}

Layout make_layout(const Graph& graph, const Precision& precision) {
  Layout layout;
  layout.dtype = precision.dtype;
  layout.units.reserve(graph.units.size());
  for (const Unit& unit : graph.units) {
    UnitLayout placed;
    for (const Param& param : unit.params) {
      std::uint64_t elements = 0;
      if (__builtin_mul_overflow(param.rows, graph.tensor_of(param).columns, &elements)) {
        fail("the size of {} overflows", graph.tensor_of(param).name);
      }
      ParamPlace place;
      place.offset = round_up(placed.bytes, kParamAlignment);
      place.bytes = bytes_of(precision.dtype, elements);
      if (__builtin_add_overflow(place.offset, place.bytes, &placed.bytes)) {
        fail("the size of unit {} overflows", unit.name);
      }
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
      granularity.huge < granularity.base) {
    fail("a granularity of {} and {} bytes: both must be powers of two, the first the smaller",
         granularity.base, granularity.huge);
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
    cut.units.push_back(placed);
  }
  std::uint64_t end = 0;
  const auto place = [&](bool wanted) {
    for (std::uint32_t i = 0; i < cut.units.size(); ++i) {
      UnitCut& unit = cut.units[i];
      if (unit.resident != wanted) continue;
      unit.offset = round_up(end, steps[i]);
      end = unit.offset + (wanted ? cut.gathered_bytes(i) : unit.chunk_bytes);
    }
  };
  place(false);
  cut.chunks_bytes = end;
  place(true);
  cut.resident_bytes = end - cut.chunks_bytes;
  return cut;
}

}  // namespace initrt
