// What AWQ's programs write in the version "gemm" (AutoAWQ, GPTQModel): "qweight" [in, out / 8],
// the codes of 8 neighbours of a row to a word, in the order 0, 2, 4, 6, 1, 3, 5, 7 from its lowest
// bits; "qzeros" [groups, out / 8] alike; "scales" [groups, out]. Their dequantize_gemm() defines
// the arithmetic: (code - zero) * scale; in float32 here, as GPTQ.
#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/quantized/quant_module.h"

namespace initrt {

bool is_awq(const QuantModule& module) {
  const TensorEntry* const codes = module.find("qweight");
  if (module.weight != nullptr || codes == nullptr) return false;
  const std::string method = module.config.method();
  if (method == "awq" || method == "gptq") return method == "awq";
  const bool by_shape = codes->shape.size() == 2 && codes->shape[0] == module.columns &&
                        codes->shape[1] != module.rows;
  return by_shape && module.find("g_idx") == nullptr;
}

QuantizedWeight read_awq(const QuantModule& module) {
  constexpr std::uint64_t kPerWord = 8;
  const TensorEntry& codes = module.get("qweight");
  if (!module.config.is_there()) {
    module.fail_at(codes,
                   "is AWQ's, but the model config has no quantization_config: its version and "
                   "group size are not known");
  }
  if (module.config.method() != "awq") {
    module.fail_at(codes, "is AWQ's, but the config says {}", quote(module.config.method()));
  }
  const std::string version = module.config.text({"version", "checkpoint_format", "format"});
  const std::int64_t bits = module.config.integer({"bits", "w_bit"}).value_or(4);
  if ((!version.empty() && version != "gemm") || bits != 4) {
    module.fail_at(codes, "is AWQ's in {} bits and version {}: expected 4 bits and \"gemm\"", bits,
                   quote(version.empty() ? "gemm" : version));
  }
  const std::int64_t said = module.config.integer({"group_size", "q_group_size"}).value_or(128);
  QuantizedWeight weight;
  weight.method = QuantMethod::Awq;
  weight.bits = 4;
  weight.block_columns =
      said > 0 ? static_cast<std::uint64_t>(said) : std::max<std::uint64_t>(1, module.columns);
  const std::uint64_t groups = divide_up(module.columns, weight.block_columns);
  const std::uint64_t words = divide_up(module.rows, kPerWord);
  const TensorEntry &scales = module.get("scales"), &zeros = module.get("qzeros");
  module.expect_dtype(codes, {DType::I32});
  module.expect_shape(codes, {{module.columns, words}});
  module.expect_dtype(scales, {DType::F16, DType::BF16, DType::F32});
  module.expect_shape(scales, {{groups, module.rows}});
  module.expect_dtype(zeros, {DType::I32});
  module.expect_shape(zeros, {{groups, words}});
  const auto add = [&](QuantRole role, const TensorEntry& tensor, std::uint64_t of,
                       std::uint64_t column_of) {
    weight.components.push_back(
        by_columns(module, component_of(module, role, tensor, QuantAxis::Columns, 1, of),
                   QuantAxis::Rows, column_of));
  };
  add(QuantRole::Codes, codes, kPerWord, 1);
  add(QuantRole::Scales, scales, 1, weight.block_columns);
  add(QuantRole::Zeros, zeros, kPerWord, weight.block_columns);
  return weight;
}

}  // namespace initrt
