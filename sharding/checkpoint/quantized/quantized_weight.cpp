#include "sharding/checkpoint/quantized/quantized_weight.h"

#include <algorithm>
#include <numeric>

#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt {

const QuantComponent* QuantizedWeight::find(QuantRole role) const {
  const auto found =
      std::find_if(components.begin(), components.end(),
                   [&](const QuantComponent& component) { return component.role == role; });
  return found == components.end() ? nullptr : &*found;
}

std::uint64_t QuantizedWeight::column_step() const {
  const QuantComponent& codes = components.front();
  return codes.column_axis == QuantAxis::None ? 0 : codes.column_of;
}

std::uint64_t QuantizedWeight::row_step() const {
  std::uint64_t step = block_rows;
  for (const QuantComponent& component : components) {
    if (component.axis == QuantAxis::Columns) step = std::lcm(step, component.of);
  }
  return step;
}

WeightPart whole_rows(const QuantizedWeight& weight, std::uint64_t first, std::uint64_t rows) {
  return {first, rows, 0, weight.columns};
}

std::pair<std::uint64_t, std::uint64_t> part_of(const QuantComponent& component,
                                                std::uint64_t first, std::uint64_t rows) {
  // Products of these fit: recognition has checked the last row's.
  return {first * component.per / component.of,
          divide_up((first + rows) * component.per, component.of)};
}

namespace {

void check_part(const QuantizedWeight& weight, const WeightPart& part) {
  if (part.row > weight.rows || part.rows > weight.rows - part.row) {
    fail("a weight of {} rows has no {} rows from row {}", weight.rows, part.rows, part.row);
  }
  if (part.column == 0 && part.columns == weight.columns) return;
  const std::uint64_t step = weight.column_step(), end = part.column + part.columns;
  const bool is_there = part.column <= weight.columns && end <= weight.columns && step != 0 &&
                        part.column % step == 0 && (end % step == 0 || end == weight.columns);
  if (!is_there) {
    fail("a weight of {} columns, made {} at a time, has no {} columns from column {}",
         weight.columns, step == 0 ? weight.columns : step, part.columns, part.column);
  }
}

// Elements [begin, end) of a component along an axis.
void cut(const QuantComponent& component, QuantAxis axis, std::uint64_t begin, std::uint64_t end,
         SourceBox& box) {
  if (axis == QuantAxis::None) return;
  const bool in_rows =
      axis == QuantAxis::Rows || (axis == QuantAxis::Flat && component.columns == 1);
  (in_rows ? box.row : box.column) = begin;
  (in_rows ? box.rows : box.columns) = end - begin;
}

}  // namespace

std::vector<SourceBox> source_boxes(const QuantizedWeight& weight, const WeightPart& part) {
  check_part(weight, part);
  std::vector<SourceBox> boxes;
  boxes.reserve(weight.components.size());
  for (const QuantComponent& component : weight.components) {
    SourceBox box{component.tensor, 0, component.rows, 0, component.columns, component.dtype};
    const auto [begin, end] = part_of(component, part.row, part.rows);
    cut(component, component.axis, begin, end, box);
    cut(component, component.column_axis, part.column / component.column_of,
        divide_up(part.column + part.columns, component.column_of), box);
    boxes.push_back(box);
  }
  return boxes;
}

std::vector<SourceBox> source_boxes(const QuantizedWeight& weight, std::uint64_t first,
                                    std::uint64_t rows) {
  return source_boxes(weight, whole_rows(weight, first, rows));
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
