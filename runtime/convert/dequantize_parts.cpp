#include "runtime/convert/dequantize_parts.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/convert/convert.h"
#include "runtime/convert/decode.h"
#include "runtime/convert/dequantize_kernels.h"
#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

/// A component and its bytes.
struct Box {
  const QuantComponent* component = nullptr;
  std::span<const std::byte> bytes;
};

/// The boxes of a call by their roles, checked to be as large as they must be.
class Boxes {
 public:
  Boxes(const QuantizedWeight& weight, const WeightPart& part,
        std::span<const std::span<const std::byte>> boxes)
      : weight_(weight), boxes_(boxes) {
    const std::vector<SourceBox> expected = source_boxes(weight, part);
    if (boxes.size() != expected.size()) {
      fail("a quantized weight of {} tensors was given {} of them", expected.size(), boxes.size());
    }
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      if (boxes[i].size() == expected[i].bytes()) continue;
      fail("tensor {}: {} bytes of it were read for rows {} to {}: expected {}",
           quote(weight.components[i].name), boxes[i].size(), part.row, part.row + part.rows,
           expected[i].bytes());
    }
  }

  /// The component of this role; its component is null where there is none.
  [[nodiscard]] Box find(QuantRole role) const {
    const QuantComponent* const found = weight_.find(role);
    if (found == nullptr) return {};
    return {found, boxes_[static_cast<std::size_t>(found - weight_.components.data())]};
  }
  [[nodiscard]] Box get(QuantRole role) const {
    const Box box = find(role);
    if (box.component == nullptr) fail("a quantized weight lacks one of its tensors");
    return box;
  }

 private:
  const QuantizedWeight& weight_;
  std::span<const std::span<const std::byte>> boxes_;
};

std::vector<float> to_floats(const Box& box) {
  const std::uint64_t elements = box.bytes.size() / info(box.component->dtype).block_bytes;
  std::vector<float> values(elements);
  const auto make = [&](const auto& decode_one) {
    for (std::uint64_t i = 0; i < elements; ++i) values[i] = decode_one(box.bytes.data() + i);
  };
  switch (box.component->dtype) {
    case DType::F8_E8M0:
    case DType::U8:  // the same, written as bytes; 2^-127 is subnormal
      make([](const std::byte* at) {
        const std::uint32_t exponent = decode::u8(at);
        const std::uint32_t special = exponent == 0 ? 0x00400000u : 0x7fc00000u;  // 255 is NaN
        const bool normal = exponent != 0 && exponent != 255;
        return std::bit_cast<float>(normal ? exponent << 23 : special);
      });
      break;
    case DType::I8:
      make([](const std::byte* at) { return static_cast<float>(decode::load<std::int8_t>(at)); });
      break;
    default:
      convert(box.bytes, box.component->dtype, 0, elements,
              reinterpret_cast<std::byte*>(values.data()), DType::F32);
  }
  return values;
}

void check_finite(const QuantComponent& component, std::span<const float> values) {
  const bool finite =
      std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
  if (!finite) fail("tensor {}: one of its values is NaN or infinite", quote(component.name));
}

std::vector<float> finite_floats(const Box& box) {
  std::vector<float> values = to_floats(box);
  check_finite(*box.component, values);
  return values;
}

std::int64_t integer_at(const Box& box, std::uint64_t i) {
  return box.component->dtype == DType::I64 ? decode::load<std::int64_t>(box.bytes.data() + i * 8)
                                            : decode::load<std::int32_t>(box.bytes.data() + i * 4);
}

// The group of each column. @param groups that there are
std::vector<std::uint32_t> order_of(const Box& box, std::uint64_t columns, std::uint64_t groups) {
  std::vector<std::uint32_t> order(columns);
  for (std::uint64_t i = 0; i < columns; ++i) {
    const std::int64_t group = integer_at(box, i);
    if (group < 0 || static_cast<std::uint64_t>(group) >= groups) {
      fail("tensor {}: its element {} is {}, but there are {} groups", quote(box.component->name),
           i, group, groups);
    }
    order[i] = static_cast<std::uint32_t>(group);
  }
  return order;
}

// That groups follow one another, as the config says: the columns are of no other groups than those
// whose scales are read with them.
void check_order(const QuantizedWeight& weight, const Box& box, const WeightPart& part) {
  for (std::uint64_t i = 0; i < part.columns; ++i) {
    const std::int64_t group = integer_at(box, i);
    const std::uint64_t column = part.column + i, expected = column / weight.block_columns;
    if (group == static_cast<std::int64_t>(expected)) continue;
    fail(
        "tensor {}: its element {} is {}, where the config says that groups are not in the order "
        "of activations (desc_act): expected {}",
        quote(box.component->name), column, group, expected);
  }
}

void check_shape(const QuantizedWeight& weight, const Box& box) {
  if (box.component == nullptr) return;
  const std::int64_t rows = integer_at(box, 0), columns = integer_at(box, 1);
  if (rows == static_cast<std::int64_t>(weight.rows) &&
      columns == static_cast<std::int64_t>(weight.columns)) {
    return;
  }
  fail("tensor {}: it says [{}, {}], but the model config asks for [{}, {}]",
       quote(box.component->name), rows, columns, weight.rows, weight.columns);
}

// Packed along rows: those of rows [first, first + rows), [rows, columns].
std::vector<float> unpack_zeros(const QuantizedWeight& weight, const Box& box, std::uint64_t first,
                                std::uint64_t rows, std::uint64_t columns) {
  const std::uint32_t bits = weight.bits, per_word = 32 / bits;
  const std::uint64_t first_word = part_of(*box.component, first, rows).first;
  const std::uint32_t half = 1u << (bits - 1), mask = (1u << bits) - 1;
  std::vector<float> zeros(rows * columns);
  for (std::uint64_t r = 0; r < rows; ++r) {
    const std::uint64_t word = (first + r) / per_word - first_word;
    const auto shift = static_cast<std::uint32_t>((first + r) % per_word) * bits;
    for (std::uint64_t g = 0; g < columns; ++g) {
      const auto codes = decode::load<std::uint32_t>(box.bytes.data() + (word * columns + g) * 4);
      zeros[r * columns + g] = decode::signed_float((codes >> shift & mask) - half);
    }
  }
  return zeros;
}

// A grid of scales over rows of codes; zeros alike.
void prepare_grid(const QuantizedWeight& weight, const Boxes& boxes, std::uint64_t first,
                  std::uint64_t rows, DequantizeParts& parts) {
  check_shape(weight, boxes.find(QuantRole::Shape));
  const Box zeros = boxes.find(QuantRole::Zeros), second = boxes.find(QuantRole::SecondScale);
  parts.groups = divide_up(weight.columns, weight.block_columns);
  parts.scales = finite_floats(boxes.get(QuantRole::Scales));
  if (second.component != nullptr) {
    const float factor = finite_floats(second).at(0);
    for (float& scale : parts.scales) {
      scale = weight.second_divides ? scale / factor : scale * factor;
    }
    check_finite(*second.component, parts.scales);
  }
  if (zeros.component == nullptr) {
    parts.zeros.resize(parts.scales.size());
  } else if (zeros.component->dtype == DType::I32) {
    parts.zeros = unpack_zeros(weight, zeros, first, rows, parts.groups);
  } else {
    parts.zeros = finite_floats(zeros);
  }
}

void prepare_llm_int8(const Boxes& boxes, DequantizeParts& parts) {
  const Box format = boxes.find(QuantRole::RowFormat);
  if (format.component != nullptr && decode::u8(format.bytes.data()) != 0) {
    fail("tensor {}: it is {}, a layout for one kind of GPU: expected 0, rows",
         quote(format.component->name), decode::u8(format.bytes.data()));
  }
  parts.scales = finite_floats(boxes.get(QuantRole::Scales));
  parts.zeros.resize(parts.scales.size());
}

// What bitsandbytes writes beside four-bit weights, compared with what shapes have told.
// @returns what is added to scales that are codes
float check_state(const QuantizedWeight& weight, const Box& box, const QuantComponent& scales) {
  const std::string who = fmt::format("tensor {}", quote(box.component->name));
  const nlohmann::json state =
      parse_json({reinterpret_cast<const char*>(box.bytes.data()), box.bytes.size()}, who);
  const std::uint64_t elements = weight.rows * weight.columns;
  const std::uint64_t count = scales.rows * scales.columns;
  const auto block_is = [&](const char* key, std::uint64_t of, std::uint64_t blocks) {
    const auto block = state.find(key);
    return block != state.end() && block->is_number_integer() && block->get<std::int64_t>() > 0 &&
           divide_up(of, static_cast<std::uint64_t>(block->get<std::int64_t>())) == blocks;
  };
  if (!state.is_object() || !block_is("blocksize", elements, count)) {
    fail("{}: its blocksize is not that of {} scales for {} elements", who, count, elements);
  }
  if (state.value("shape", nlohmann::json()) != nlohmann::json({weight.rows, weight.columns})) {
    fail("{}: its shape is not [{}, {}], which the model config asks for", who, weight.rows,
         weight.columns);
  }
  if (weight.nested_block == 0) return 0.0f;
  const QuantComponent& nested = *weight.find(QuantRole::NestedScales);
  const auto offset = state.find("nested_offset");
  if (!block_is("nested_blocksize", count, nested.rows * nested.columns) || offset == state.end() ||
      !offset->is_number()) {
    fail("{}: expected nested_blocksize of {} scales and nested_offset, a number", who, count);
  }
  const auto value = offset->get<float>();
  if (!std::isfinite(value)) fail("{}: its nested_offset is not finite", who);
  return value;
}

std::vector<float> four_bit_scales(const QuantizedWeight& weight, const Boxes& boxes,
                                   std::uint64_t first, std::uint64_t rows) {
  const Box scales = boxes.get(QuantRole::Scales);
  const float offset = check_state(weight, boxes.get(QuantRole::State), *scales.component);
  if (weight.nested_block == 0) return finite_floats(scales);
  const std::vector<float> table = finite_floats(boxes.get(QuantRole::NestedTable));
  const Box nested_box = boxes.get(QuantRole::NestedScales);
  const std::vector<float> nested = finite_floats(nested_box);
  const std::uint64_t begin = part_of(*scales.component, first, rows).first;
  const std::uint64_t nested_begin = part_of(*nested_box.component, first, rows).first;
  std::vector<float> values(scales.bytes.size());
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    const std::uint64_t block = (begin + i) / weight.nested_block - nested_begin;
    values[i] = table[decode::u8(scales.bytes.data() + i)] * nested[block] + offset;
  }
  check_finite(*scales.component, values);
  return values;
}

// Zeros of output row `row` of the first word's: [groups].
void column_zeros(const QuantizedWeight& weight, const Box& box, std::uint64_t row,
                  std::uint64_t words, std::span<float> zeros) {
  const std::uint32_t per_word = 32 / weight.bits, mask = (1u << weight.bits) - 1;
  const auto place = static_cast<std::uint32_t>(row % per_word);
  const std::uint32_t shift =
      (weight.method == QuantMethod::Awq ? dequantize_detail::kAwqPlaces[place] : place) *
      weight.bits;
  for (std::uint64_t g = 0; g < zeros.size(); ++g) {
    const auto codes =
        decode::load<std::uint32_t>(box.bytes.data() + (g * words + row / per_word) * 4);
    // A zero of 0 less one is stored as the largest code.
    zeros[g] = static_cast<float>(((codes >> shift & mask) + weight.zero_offset) & mask);
  }
}

// Zeros that are all one too many were stored as they are, by a program that did not say so.
void check_symmetric(const QuantizedWeight& weight, const QuantComponent& component,
                     std::span<const float> zeros) {
  if (!weight.symmetric || weight.zero_offset == 0) return;
  const std::uint32_t half = 1u << (weight.bits - 1);
  const auto one_more = static_cast<float>(half + 1);
  if (!std::all_of(zeros.begin(), zeros.end(), [&](float zero) { return zero == one_more; }))
    return;
  fail(
      "tensor {}: all zeros are stored as {}, which stands for {} in the format \"gptq\", but the "
      "config says \"sym\": set its \"checkpoint_format\" to \"gptq_v2\"",
      quote(component.name), half, half + 1);
}

// Scales and zeros [groups, rows] as [rows][groups].
void prepare_columns(const QuantizedWeight& weight, const Boxes& boxes, std::uint64_t first,
                     std::uint64_t rows, DequantizeParts& parts) {
  const Box scales_box = boxes.get(QuantRole::Scales), zeros_box = boxes.get(QuantRole::Zeros);
  const std::vector<float> scales = finite_floats(scales_box);
  const auto [word, word_end] = part_of(*zeros_box.component, first, rows);
  const std::uint64_t skip = first % (32 / weight.bits);
  parts.groups = scales.size() / rows;
  parts.scales.resize(rows * parts.groups);
  parts.zeros.resize(rows * parts.groups);
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t g = 0; g < parts.groups; ++g) {
      parts.scales[r * parts.groups + g] = scales[g * rows + r];
    }
    column_zeros(weight, zeros_box, skip + r, word_end - word,
                 std::span(parts.zeros).subspan(r * parts.groups, parts.groups));
  }
  check_symmetric(weight, *zeros_box.component, parts.zeros);
}

}  // namespace

DequantizeParts prepare_parts(const QuantizedWeight& weight, const WeightPart& part,
                              std::span<const std::span<const std::byte>> boxes) {
  const Boxes found(weight, part, boxes);
  const std::uint64_t first = part.row, rows = part.rows;
  DequantizeParts parts;
  if (rows == 0) return parts;
  parts.codes = found.get(QuantRole::Codes).bytes;
  switch (weight.method) {
    case QuantMethod::Bytes:
    case QuantMethod::PackedInts:
    case QuantMethod::Fp4:
      prepare_grid(weight, found, first, rows, parts);
      break;
    case QuantMethod::LlmInt8:
      prepare_llm_int8(found, parts);
      break;
    case QuantMethod::FourBitTable:
      parts.table = finite_floats(found.get(QuantRole::Table));
      parts.scales = four_bit_scales(weight, found, first, rows);
      parts.zeros.resize(parts.scales.size());
      break;
    case QuantMethod::Gptq:
    case QuantMethod::Awq:
      prepare_columns(weight, found, first, rows, parts);
      break;
  }
  const Box order = found.find(QuantRole::GroupIndex);
  if (order.component == nullptr) return parts;
  if (order.component->column_axis == QuantAxis::None) {
    parts.order = order_of(order, weight.columns, parts.groups);
  } else {
    check_order(weight, order, part);
  }
  return parts;
}

}  // namespace initrt
