// ModelOpt's NVFP4: "weight" U8 [out, in / 2] of E2M1, the first of two in a byte's lower half;
// "weight_scale" F8_E4M3 [out, in / 16]; "weight_scale_2" F32, one for the whole tensor. ModelOpt's
// NVFP4QTensor.dequantize() defines the arithmetic: value * (scale * scale_2), as float32.
#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/quantized/quant_module.h"

namespace initrt {

bool is_nvfp4(const QuantModule& module) {
  return module.weight != nullptr && module.weight->dtype == DType::U8 &&
         module.config.method() == "modelopt" && module.find("weight_scale_2") != nullptr;
}

QuantizedWeight read_nvfp4(const QuantModule& module) {
  constexpr std::uint64_t kGroup = 16;
  const TensorEntry &scales = module.get("weight_scale"), &second = module.get("weight_scale_2");
  if (module.columns % kGroup != 0) {
    module.fail_at(*module.weight, "is NVFP4 of rows of {}: expected a multiple of {}",
                   module.columns, kGroup);
  }
  const std::int64_t said = module.config.integer({"group_size"}).value_or(kGroup);
  if (said != kGroup) {
    module.fail_at(*module.weight, "is NVFP4, but the config says group_size {}: expected {}", said,
                   kGroup);
  }
  module.expect_shape(*module.weight, {{module.rows, module.columns / 2}});
  module.expect_dtype(scales, {DType::F8_E4M3});
  module.expect_dtype(second, {DType::F32});
  module.expect_shape(second, {{}, {1}});
  QuantizedWeight weight;
  weight.method = QuantMethod::Fp4;
  weight.bits = 4;
  weight.block_columns = kGroup;
  weight.components.push_back(
      component_of(module, QuantRole::Codes, *module.weight, QuantAxis::Rows, 1, 1));
  add_scale_grid(module, QuantRole::Scales, scales, weight);
  weight.components.push_back(component_of(module, QuantRole::SecondScale, second));
  return weight;
}

}  // namespace initrt
