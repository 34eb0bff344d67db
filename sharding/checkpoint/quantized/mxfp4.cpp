// gpt-oss's MXFP4 (OCP Microscaling Formats 1.0): "X_blocks" U8 [experts, out, in / 32, 16] of
// E2M1, the first of two in a byte's lower half, and "X_scales" U8 [experts, out, in / 32], powers
// of two. transformers' convert_moe_packed_tensors() defines the arithmetic: value * 2^(scale -
// 127).
#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/quantized/quant_module.h"

namespace initrt {
namespace {

std::string leaf_of(const QuantModule& module, std::string_view end) {
  const std::string_view name = module.name;
  return std::string(name.substr(name.rfind('.') + 1)).append(end);
}

}  // namespace

bool is_mxfp4(const QuantModule& module) {
  return module.weight == nullptr && module.find(leaf_of(module, "_blocks")) != nullptr &&
         module.find(leaf_of(module, "_scales")) != nullptr;
}

QuantizedWeight read_mxfp4(const QuantModule& module) {
  constexpr std::uint64_t kGroup = 32;
  const TensorEntry& codes = module.get(leaf_of(module, "_blocks"));
  const TensorEntry& scales = module.get(leaf_of(module, "_scales"));
  if (module.columns % kGroup != 0) {
    module.fail_at(codes, "is MXFP4 of rows of {}: expected a multiple of {}", module.columns,
                   kGroup);
  }
  const std::uint64_t groups = module.columns / kGroup;
  const std::uint64_t experts =
      codes.shape.empty() ? 1 : std::max<std::uint64_t>(codes.shape[0], 1);
  module.expect_dtype(codes, {DType::U8});
  module.expect_dtype(scales, {DType::U8, DType::F8_E8M0});
  module.expect_shape(codes, {{experts, module.rows / experts, groups, kGroup / 2}});
  module.expect_shape(scales, {{experts, module.rows / experts, groups}});
  QuantizedWeight weight;
  weight.method = QuantMethod::Fp4;
  weight.bits = 4;
  weight.block_columns = kGroup;
  weight.components.push_back(
      component_of(module, QuantRole::Codes, codes, QuantAxis::Rows, groups, 1));
  weight.components.push_back(
      component_of(module, QuantRole::Scales, scales, QuantAxis::Rows, 1, 1));
  return weight;
}

}  // namespace initrt
