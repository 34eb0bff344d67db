#include "sharding/checkpoint/quantized/quant_module.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"

namespace initrt {

const TensorEntry* QuantModule::find(std::string_view leaf) const {
  const auto found =
      std::find_if(companions.begin(), companions.end(),
                   [&](const Companion& companion) { return companion.leaf == leaf; });
  return found == companions.end() ? nullptr : found->tensor;
}

const TensorEntry* QuantModule::find_any(std::span<const std::string_view> leaves) const {
  for (const std::string_view leaf : leaves) {
    if (const TensorEntry* const found = find(leaf)) return found;
  }
  return nullptr;
}

const TensorEntry& QuantModule::get(std::string_view leaf) const {
  if (const TensorEntry* const found = find(leaf)) return *found;
  constexpr std::string_view kCodes[] = {"qweight", "weight_packed"};
  const TensorEntry* const codes = weight != nullptr ? weight : find_any(kCodes);
  fail_at(codes != nullptr ? *codes : *companions.front().tensor,
          "is quantized, but {} is not beside it", quote(leaf));
}

void QuantModule::fail_at_text(const TensorEntry& tensor, const std::string& text) const {
  fail("{}: tensor {} {}", catalog.files[tensor.parts.front().file].path, quote(tensor.name), text);
}

void QuantModule::expect_dtype(const TensorEntry& tensor,
                               std::initializer_list<DType> dtypes) const {
  if (std::find(dtypes.begin(), dtypes.end(), tensor.dtype) != dtypes.end()) return;
  std::string expected;
  for (const DType dtype : dtypes) {
    expected.append(expected.empty() ? "" : " or ").append(initrt::name(dtype));
  }
  fail_at(tensor, "is {}: expected {}", initrt::name(tensor.dtype), expected);
}

void QuantModule::expect_shape(const TensorEntry& tensor,
                               std::initializer_list<std::vector<std::uint64_t>> shapes) const {
  if (std::find(shapes.begin(), shapes.end(), tensor.shape) != shapes.end()) return;
  std::string expected;
  for (const std::vector<std::uint64_t>& shape : shapes) {
    expected.append(expected.empty() ? "" : " or ").append(shape_text(shape));
  }
  fail_at(tensor, "has shape {}, but a weight of {} asks for {}", shape_text(tensor.shape),
          shape_text(std::vector{rows, columns}), expected);
}

QuantComponent component_of(const QuantModule& module, QuantRole role, const TensorEntry& tensor) {
  QuantComponent component;
  component.role = role;
  component.tensor = static_cast<std::uint32_t>(&tensor - module.catalog.tensors.data());
  component.dtype = tensor.dtype;
  component.columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  component.rows = component.columns == 0 ? 0 : tensor.elements() / component.columns;
  component.name = tensor.name;
  return component;
}

QuantComponent component_of(const QuantModule& module, QuantRole role, const TensorEntry& tensor,
                            QuantAxis axis, std::uint64_t per, std::uint64_t of) {
  QuantComponent component = component_of(module, role, tensor);
  component.axis = axis;
  component.per = per;
  component.of = of;
  std::uint64_t needed = 0;
  if (__builtin_mul_overflow(module.rows, per, &needed)) {
    fail("{} takes 2^64 bytes or more", quote(module.name));
  }
  const std::uint64_t end = divide_up(needed, of);
  const std::uint64_t extent = axis == QuantAxis::Rows      ? component.rows
                               : axis == QuantAxis::Columns ? component.columns
                                                            : component.rows * component.columns;
  if (end > extent) {
    module.fail_at(tensor, "has shape {}: too little for a weight of {}", shape_text(tensor.shape),
                   shape_text(std::vector{module.rows, module.columns}));
  }
  return component;
}

QuantComponent by_columns(const QuantModule& module, QuantComponent component,
                          QuantAxis column_axis, std::uint64_t column_of) {
  component.column_axis = column_axis;
  component.column_of = column_of;
  const std::uint64_t extent = column_axis == QuantAxis::Rows ? component.rows : component.columns;
  if (divide_up(module.columns, column_of) > extent) {
    module.fail_at(module.catalog.tensors[component.tensor],
                   "has too few elements for a weight of {}",
                   shape_text(std::vector{module.rows, module.columns}));
  }
  return component;
}

void add_scale_grid(const QuantModule& module, QuantRole role, const TensorEntry& tensor,
                    QuantizedWeight& weight) {
  const std::uint64_t rows = divide_up(module.rows, weight.block_rows);
  const std::uint64_t columns = divide_up(module.columns, weight.block_columns);
  const bool one_each_row = columns == 1 && tensor.shape.size() == 1;
  if (rows == 1 && columns == 1) {
    module.expect_shape(tensor, {{1, 1}, {1}, {}});
    weight.components.push_back(component_of(module, role, tensor));
  } else if (one_each_row) {
    module.expect_shape(tensor, {{rows, 1}, {rows}});
    weight.components.push_back(
        component_of(module, role, tensor, QuantAxis::Columns, 1, weight.block_rows));
  } else {
    module.expect_shape(tensor, {{rows, columns}});
    weight.components.push_back(
        component_of(module, role, tensor, QuantAxis::Rows, 1, weight.block_rows));
  }
}

}  // namespace initrt
