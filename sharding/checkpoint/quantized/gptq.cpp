// What GPTQ's programs write (AutoGPTQ, GPTQModel): "qweight" [in * bits / 32, out], the codes of
// 32 / bits neighbours of a column to a word, the first lowest; "qzeros" [groups, out * bits / 32];
// "scales" [groups, out]; "g_idx" [in], the group of each, where activations gave the order.
// Zeros are stored less one, but for the format that is called gptq_v2.
// GPTQModel's dequantize_weight() defines the arithmetic: (code - zero) * scale. It computes in the
// dtype of scales; here all is float32, where each product of half scales is exact.
#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/quantized/quant_module.h"

namespace initrt {
namespace {

struct Layout {
  std::uint64_t group = 0;  // elements of a row; 0: the config says nothing of use
  bool zeros_less_one = true;
};

void check_format(const QuantModule& module, const TensorEntry& codes, Layout& layout) {
  const QuantConfig& config = module.config;
  if (!config.is_there()) {
    module.fail_at(codes,
                   "is GPTQ's, but the model config has no quantization_config: whether zeros are "
                   "stored less one is not known");
  }
  if (config.method() != "gptq") {
    module.fail_at(codes, "is GPTQ's, but the config says {}", quote(config.method()));
  }
  const std::string format = config.text({"checkpoint_format", "format"});
  if ((!format.empty() && format != "gptq" && format != "gptq_v2") ||
      config.flag({"is_marlin_format"}).value_or(false)) {
    module.fail_at(codes, "is GPTQ's in the format {}: expected \"gptq\" or \"gptq_v2\"",
                   quote(format.empty() ? "marlin" : format));
  }
  layout.zeros_less_one = format != "gptq_v2";
}

// The bits that the shape tells. Those that the config says may be overridden for some modules.
std::uint32_t bits_of(const QuantModule& module, const TensorEntry& codes) {
  const std::uint64_t word_rows = codes.shape.size() == 2 ? codes.shape[0] : 0;
  std::uint32_t bits = 0;
  for (const std::uint32_t candidate : {2u, 4u, 8u}) {
    if (module.columns % (32 / candidate) == 0 && module.columns / (32 / candidate) == word_rows) {
      bits = candidate;
    }
  }
  const std::int64_t said = module.config.integer({"bits"}).value_or(0);
  const bool overridden = module.config.has("dynamic");
  if (bits == 0 || codes.shape[1] != module.rows || (said != bits && !overridden)) {
    module.fail_at(
        codes, "has shape {}, but the config says {} bits for a weight of {}: expected {}",
        shape_text(codes.shape), said, shape_text(std::vector{module.rows, module.columns}),
        said == 2 || said == 4 || said == 8
            ? shape_text(std::vector{
                  divide_up(module.columns * static_cast<std::uint64_t>(said), 32), module.rows})
            : std::string("2, 4 or 8 bits"));
  }
  return bits;
}

// Whether the config says of all modules that groups follow one another, whatever "g_idx" is there
// for: most programs write it in any case.
bool is_in_order(const QuantModule& module) {
  return module.config.flag({"desc_act"}) == false && !module.config.has("dynamic");
}

// Whether zeros are half of the codes in all modules: "dynamic" may leave modules out
// ("-:PATTERN"), or say of some what differs.
bool is_symmetric(const QuantConfig& config) {
  const nlohmann::json& dynamic = config.object().value("dynamic", nlohmann::json());
  for (const auto& [pattern, settings] : dynamic.items()) {
    if (settings.is_object() && settings.contains("sym")) return false;
  }
  return config.flag({"sym"}) == true;
}

// Elements of a row that share a scale, where their order is not the activations'.
std::uint64_t group_of(const QuantModule& module, const TensorEntry& scales, bool ordered) {
  const std::uint64_t groups = scales.shape.size() == 2 ? scales.shape[0] : 0;
  const std::optional<std::int64_t> said = module.config.integer({"group_size"});
  const bool overridden = module.config.has("dynamic");  // for some modules
  if (said && groups > 0) {
    const std::uint64_t group =
        *said > 0 ? static_cast<std::uint64_t>(*said) : std::max<std::uint64_t>(1, module.columns);
    const bool exact = group * groups == module.columns;
    const bool another = overridden && !ordered && !exact && module.columns % groups == 0;
    if (divide_up(module.columns, group) == groups && !another) return group;
  }
  if (groups > 0 && module.columns % groups == 0 && overridden) return module.columns / groups;
  if (groups > 0 && ordered && overridden) return module.columns;
  module.fail_at(scales, "has shape {}, but the config says group_size {} for a weight of {}",
                 shape_text(scales.shape), said ? std::to_string(*said) : "nothing",
                 shape_text(std::vector{module.rows, module.columns}));
}

}  // namespace

bool is_gptq(const QuantModule& module) {
  const TensorEntry* const codes = module.find("qweight");
  if (module.weight != nullptr || codes == nullptr || is_awq(module)) return false;
  return module.config.method() == "gptq" || module.find("g_idx") != nullptr ||
         (codes->shape.size() == 2 && codes->shape[1] == module.rows);
}

QuantizedWeight read_gptq(const QuantModule& module) {
  const TensorEntry& codes = module.get("qweight");
  Layout layout;
  check_format(module, codes, layout);
  module.expect_dtype(codes, {DType::I32});
  const TensorEntry& scales = module.get("scales");
  const TensorEntry& zeros = module.get("qzeros");
  const TensorEntry* const order = module.find("g_idx");
  if (order == nullptr && module.config.flag({"desc_act"}).value_or(false)) {
    (void)module.get("g_idx");
  }
  QuantizedWeight weight;
  weight.method = QuantMethod::Gptq;
  weight.bits = bits_of(module, codes);
  weight.block_columns = group_of(module, scales, order != nullptr);
  weight.zero_offset = layout.zeros_less_one ? 1 : 0;
  weight.symmetric = is_symmetric(module.config);
  const std::uint64_t groups = scales.shape[0], per_word = 32 / weight.bits;
  module.expect_dtype(scales, {DType::F16, DType::BF16, DType::F32});
  module.expect_shape(scales, {{groups, module.rows}});
  module.expect_dtype(zeros, {DType::I32});
  module.expect_shape(zeros, {{groups, divide_up(module.rows, per_word)}});
  // Any columns may be of any group where activations gave the order: then only whole rows are
  // made.
  const bool in_order = order == nullptr || is_in_order(module);
  const auto add = [&](QuantRole role, const TensorEntry& tensor, std::uint64_t of,
                       std::uint64_t column_of) {
    QuantComponent part = component_of(module, role, tensor, QuantAxis::Columns, 1, of);
    weight.components.push_back(
        in_order ? by_columns(module, std::move(part), QuantAxis::Rows, column_of) : part);
  };
  add(QuantRole::Codes, codes, 1, per_word);
  add(QuantRole::Scales, scales, 1, weight.block_columns);
  add(QuantRole::Zeros, zeros, per_word, weight.block_columns);
  if (order != nullptr) {
    module.expect_dtype(*order, {DType::I32, DType::I64});
    module.expect_shape(*order, {{module.columns}});
    const QuantComponent index = component_of(module, QuantRole::GroupIndex, *order);
    weight.components.push_back(in_order ? by_columns(module, index, QuantAxis::Columns, 1)
                                         : index);
  }
  return weight;
}

}  // namespace initrt
