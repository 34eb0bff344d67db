// Eight-bit floats (F8_E4M3) with scales that are multiplied with: one for all, one a row, or one a
// block of rows and columns, as the config says (DeepSeek's and transformers' "weight_scale_inv",
// ModelOpt's and FBGEMM's "weight_scale", others' "scale"). transformers' Fp8Dequantize defines the
// arithmetic: both as float32.
#include <algorithm>

#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/quantized/quant_module.h"

namespace initrt {
namespace {

constexpr std::string_view kScales[] = {"weight_scale_inv", "weight_scale", "scale",
                                        "qscale_weight"};

// Bytes that are exponents of two, E8M0, though their dtype does not say so.
void check_exponents(const QuantModule& module, const TensorEntry& scales) {
  if (scales.dtype != DType::U8) return;
  const std::string said = module.config.text({"scale_fmt"});
  if (said != "ue8m0") {
    module.fail_at(scales, "is U8: expected floats, or \"scale_fmt\": \"ue8m0\" in the config");
  }
}

// The blocks that the config says; without any, a scale for each row or for all.
void set_blocks(const QuantModule& module, const TensorEntry& scales, QuantizedWeight& weight) {
  const nlohmann::json& config = module.config.object();
  const auto said = config.is_object() ? config.find("weight_block_size") : config.end();
  if (config.is_object() && said != config.end() && !said->is_null()) {
    const std::optional<BlockShape> block = block_shape(*said);
    if (!block) {
      fail("{}: the config's weight_block_size is {}: expected two positive numbers",
           module.catalog.path, quote(said->dump(-1, ' ', true)));
    }
    weight.block_rows = block->rows;
    weight.block_columns = block->columns;
    return;
  }
  weight.block_columns = module.columns;
  const bool for_all = scales.elements() == 1;
  weight.block_rows = for_all ? module.rows : 1;
  const bool each_row = scales.shape == std::vector{module.rows} ||
                        scales.shape == std::vector<std::uint64_t>{module.rows, 1};
  if (!for_all && !each_row) {
    module.fail_at(scales,
                   "has shape {}, and the config has no weight_block_size: expected one scale, or "
                   "one for each of {} rows",
                   shape_text(scales.shape), module.rows);
  }
}

}  // namespace

bool is_fp8(const QuantModule& module) {
  return module.weight != nullptr && module.weight->dtype == DType::F8_E4M3 &&
         module.find_any(kScales) != nullptr;
}

QuantizedWeight read_fp8(const QuantModule& module) {
  constexpr std::string_view kMethods[] = {"", "fp8", "fbgemm_fp8", "modelopt", "quark"};
  const std::string method = module.config.method();
  if (std::find(std::begin(kMethods), std::end(kMethods), method) == std::end(kMethods)) {
    module.fail_at(*module.weight, "is F8_E4M3 with scales, but the config says {}", quote(method));
  }
  const TensorEntry& scales = *module.find_any(kScales);
  module.expect_shape(*module.weight, {{module.rows, module.columns}});
  module.expect_dtype(scales, {DType::F32, DType::BF16, DType::F16, DType::F8_E8M0, DType::U8});
  check_exponents(module, scales);
  QuantizedWeight weight;
  weight.method = QuantMethod::Bytes;
  set_blocks(module, scales, weight);
  weight.components.reserve(2);
  weight.components.push_back(
      component_of(module, QuantRole::Codes, *module.weight, QuantAxis::Rows, 1, 1));
  add_scale_grid(module, QuantRole::Scales, scales, weight);
  return weight;
}

}  // namespace initrt
