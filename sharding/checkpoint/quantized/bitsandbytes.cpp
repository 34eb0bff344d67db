// What bitsandbytes writes: eight bits (LLM.int8(), arXiv:2208.07339) and four (QLoRA,
// arXiv:2305.14314). Its int8_vectorwise_dequant() and dequantize_4bit() define the arithmetic.
#include <algorithm>

#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/quantized/quant_module.h"

namespace initrt {
namespace {

void check_method(const QuantModule& module) {
  const std::string method = module.config.method();
  if (method.empty() || method == "bitsandbytes") return;
  module.fail_at(*module.weight, "is bitsandbytes', but the config says {}", quote(method));
}

constexpr std::string_view kStates[] = {"weight.quant_state.bitsandbytes__nf4",
                                        "weight.quant_state.bitsandbytes__fp4"};

// Elements that share a scale, of which there are so many: bitsandbytes' sizes are powers of two.
std::uint64_t block_of(std::uint64_t elements, std::uint64_t scales) {
  constexpr std::uint64_t kSmallest = 32, kLargest = 4096;
  for (std::uint64_t block = kSmallest; block <= kLargest; block *= 2) {
    if (divide_up(elements, block) == scales) return block;
  }
  return 0;
}

QuantComponent flat(const QuantModule& module, QuantRole role, const TensorEntry& tensor,
                    std::uint64_t of) {
  return component_of(module, role, tensor, QuantAxis::Flat, module.columns, of);
}

void add_nested(const QuantModule& module, std::uint64_t scales, QuantizedWeight& weight) {
  const TensorEntry& nested = module.get("weight.nested_absmax");
  module.expect_dtype(nested, {DType::F32});
  if (nested.shape.size() != 1) module.expect_shape(nested, {{divide_up(scales, 256)}});
  // 256, unless there are too few scales to tell: then any block holds them all.
  weight.nested_block =
      divide_up(scales, 256) == nested.shape[0] ? 256 : block_of(scales, nested.shape[0]);
  if (weight.nested_block == 0) {
    module.fail_at(nested, "has shape {}: expected {} for {} scales", shape_text(nested.shape),
                   shape_text(std::vector{divide_up(scales, 256)}), scales);
  }
  const TensorEntry& table = module.get("weight.nested_quant_map");
  module.expect_dtype(table, {DType::F32});
  module.expect_shape(table, {{256}});
  weight.components.push_back(
      flat(module, QuantRole::NestedScales, nested,
           checked_product(quote(module.name), {weight.block_columns, weight.nested_block})));
  weight.components.push_back(component_of(module, QuantRole::NestedTable, table));
}

}  // namespace

bool is_llm_int8(const QuantModule& module) {
  return module.weight != nullptr && module.find("SCB") != nullptr;
}

QuantizedWeight read_llm_int8(const QuantModule& module) {
  check_method(module);
  const TensorEntry& scales = module.get("SCB");
  module.expect_dtype(*module.weight, {DType::I8});
  module.expect_shape(*module.weight, {{module.rows, module.columns}});
  module.expect_dtype(scales, {DType::F32});
  module.expect_shape(scales, {{module.rows}});
  QuantizedWeight weight;
  weight.method = QuantMethod::LlmInt8;
  weight.block_columns = module.columns;
  weight.components = {
      component_of(module, QuantRole::Codes, *module.weight, QuantAxis::Rows, 1, 1),
      component_of(module, QuantRole::Scales, scales, QuantAxis::Columns, 1, 1)};
  if (const TensorEntry* const format = module.find("weight_format")) {
    module.expect_dtype(*format, {DType::U8});
    module.expect_shape(*format, {{}, {1}});
    weight.components.push_back(component_of(module, QuantRole::RowFormat, *format));
  }
  return weight;
}

bool is_four_bit(const QuantModule& module) {
  return module.weight != nullptr && module.find_any(kStates) != nullptr;
}

QuantizedWeight read_four_bit(const QuantModule& module) {
  check_method(module);
  const TensorEntry& codes = *module.weight;
  const std::uint64_t elements = checked_product(quote(module.name), {module.rows, module.columns});
  // FSDP wants weights in the dtype of the rest: the bytes are the same.
  module.expect_dtype(codes, {DType::U8, DType::I8, DType::F16, DType::BF16, DType::F32});
  const std::uint64_t word = info(codes.dtype).block_bytes;
  const std::uint64_t words = divide_up(elements, 2 * word);
  module.expect_shape(codes, {{words, 1}, {1, words}});
  const TensorEntry& scales = module.get("weight.absmax");
  const bool nested = module.find("weight.nested_absmax") != nullptr;
  module.expect_dtype(scales, {nested ? DType::U8 : DType::F32});
  QuantizedWeight weight;
  weight.method = QuantMethod::FourBitTable;
  weight.bits = 4;
  weight.block_columns = scales.shape.size() == 1 ? block_of(elements, scales.shape[0]) : 0;
  if (weight.block_columns == 0) {
    module.fail_at(scales, "has shape {}: expected one scale for each 32 to 4096 of {} elements",
                   shape_text(scales.shape), elements);
  }
  const TensorEntry& table = module.get("weight.quant_map");
  module.expect_dtype(table, {DType::F32});
  module.expect_shape(table, {{16}});
  const TensorEntry& state = *module.find_any(kStates);
  constexpr std::uint64_t kMaxStateBytes = 4096;
  module.expect_dtype(state, {DType::U8});
  if (state.elements() == 0 || state.elements() > kMaxStateBytes) {
    module.fail_at(state, "has shape {}: expected 1 to {} bytes", shape_text(state.shape),
                   kMaxStateBytes);
  }
  weight.components = {flat(module, QuantRole::Codes, codes, 2 * word),
                       flat(module, QuantRole::Scales, scales, weight.block_columns),
                       component_of(module, QuantRole::Table, table),
                       component_of(module, QuantRole::State, state)};
  if (nested) add_nested(module, scales.shape[0], weight);
  return weight;
}

}  // namespace initrt
