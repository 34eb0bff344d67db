#include "sharding/checkpoint/quantized/quantized_weight.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt {

const QuantComponent* QuantizedWeight::find(QuantRole role) const {
  const auto found =
      std::find_if(components.begin(), components.end(),
                   [&](const QuantComponent& component) { return component.role == role; });
  return found == components.end() ? nullptr : &*found;
}

std::pair<std::uint64_t, std::uint64_t> part_of(const QuantComponent& component,
                                                std::uint64_t first, std::uint64_t rows) {
  // Products of these fit: recognition has checked the last row's.
  return {first * component.per / component.of,
          divide_up((first + rows) * component.per, component.of)};
}

std::vector<SourceBox> source_boxes(const QuantizedWeight& weight, std::uint64_t first,
                                    std::uint64_t rows) {
  if (first > weight.rows || rows > weight.rows - first) {
    fail("a weight of {} rows has no {} rows from row {}", weight.rows, rows, first);
  }
  std::vector<SourceBox> boxes;
  for (const QuantComponent& component : weight.components) {
    SourceBox box{component.tensor, 0, component.rows, 0, component.columns, component.dtype};
    const auto [begin, end] = part_of(component, first, rows);
    const bool in_rows = component.axis == QuantAxis::Rows ||
                         (component.axis == QuantAxis::Flat && component.columns == 1);
    if (component.axis != QuantAxis::None) {
      (in_rows ? box.row : box.column) = begin;
      (in_rows ? box.rows : box.columns) = end - begin;
    }
    boxes.push_back(box);
  }
  return boxes;
}

std::vector<std::uint64_t> box_offsets(const std::vector<SourceBox>& boxes) {
  std::vector<std::uint64_t> offsets;
  std::uint64_t end = 0;
  for (const SourceBox& box : boxes) {
    offsets.push_back(divide_up(end, kBoxAlignment) * kBoxAlignment);
    end = offsets.back() + box.bytes();
  }
  return offsets;
}

std::uint64_t scratch_bytes(const std::vector<SourceBox>& boxes) {
  return boxes.empty() ? 0 : box_offsets(boxes).back() + boxes.back().bytes();
}

}  // namespace initrt
