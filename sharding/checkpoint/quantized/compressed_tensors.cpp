// What compressed-tensors writes: integers packed in words ("pack-quantized"), bytes of integers or
// floats ("int-quantized", "float-quantized"), E2M1 with scales that are powers of two
// ("mxfp4-pack-quantized") or floats ("nvfp4-pack-quantized").
// Its decompress() defines the arithmetic: (code - zero) * scale in the dtype of scales; here in
// float32, whose rounding to that dtype is the same number.
//
// The config has groups of modules, chosen by names, classes and Python's regular expressions, and
// a list of modules to ignore. None of them is matched here: what lies beside a weight tells that
// it is quantized, and the group is the one that its tensors fit.
#include <algorithm>

#include "sharding/checked.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/quantized/quant_module.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

// The weights of one group.
struct Scheme {
  std::int64_t bits = 8;
  std::string type = "int", strategy;
  std::uint64_t group = 0;  // 0: none
  std::optional<BlockShape> block;
  bool symmetric = true;
  bool ordered = false;  // groups are in the order of activations
};

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Scheme scheme_of(const Json& weights) {
  Scheme scheme;
  if (const auto bits = weights.find("num_bits");
      bits != weights.end() && bits->is_number_integer()) {
    scheme.bits = bits->get<std::int64_t>();
  }
  if (const std::string type = text_of(weights, "type"); !type.empty()) scheme.type = type;
  scheme.strategy = text_of(weights, "strategy");
  const auto group = weights.find("group_size");
  const std::int64_t size =
      group != weights.end() && group->is_number_integer() ? group->get<std::int64_t>() : 0;
  if (size > 0) scheme.group = static_cast<std::uint64_t>(size);
  if (scheme.strategy.empty()) {
    scheme.strategy = size > 0 ? "group" : size < 0 ? "channel" : "tensor";
  }
  if (const auto block = weights.find("block_structure"); block != weights.end()) {
    scheme.block = block_shape(*block);
  }
  const auto symmetric = weights.find("symmetric");
  if (symmetric != weights.end() && symmetric->is_boolean()) scheme.symmetric = *symmetric;
  const std::string order = text_of(weights, "actorder");
  scheme.ordered =
      order == "group" || order == "dynamic" || weights.value("actorder", Json()) == Json(true);
  return scheme;
}

void set_blocks(const QuantModule& module, const Scheme& scheme, QuantizedWeight& weight) {
  const std::uint64_t columns = std::max<std::uint64_t>(1, module.columns);
  if (scheme.strategy == "tensor") {
    weight.block_rows = std::max<std::uint64_t>(1, module.rows);
    weight.block_columns = columns;
  } else if (scheme.strategy == "channel") {
    weight.block_columns = columns;
  } else if (scheme.strategy == "block" && scheme.block) {
    weight.block_rows = scheme.block->rows;
    weight.block_columns = scheme.block->columns;
  } else if ((scheme.strategy == "group" || scheme.strategy == "tensor_group") &&
             scheme.group > 0) {
    weight.block_columns = scheme.group;
  } else {
    fail(
        "{}: the config's quantization strategy {} of weights is not known here, or lacks its size",
        module.catalog.path, quote(scheme.strategy));
  }
}

void expect_scheme(const QuantModule& module, const TensorEntry& codes, const Scheme& scheme,
                   std::string_view type, std::initializer_list<std::int64_t> bits) {
  if (scheme.type == type && std::find(bits.begin(), bits.end(), scheme.bits) != bits.end()) return;
  module.fail_at(codes, "is {}, but the config says {} of {} bits: expected {} of {}",
                 initrt::name(codes.dtype), quote(scheme.type), scheme.bits, type,
                 fmt::join(bits, " or "));
}

// Zeros that are stored as scales are: of symmetric weights they are all 0.
void add_plain_zeros(const QuantModule& module, const Scheme& scheme, QuantizedWeight& weight) {
  const TensorEntry* const zeros = module.find("weight_zero_point");
  if (zeros == nullptr && scheme.symmetric) return;
  const TensorEntry& found = module.get("weight_zero_point");
  module.expect_dtype(found, {DType::I8, DType::F8_E4M3});
  add_scale_grid(module, QuantRole::Zeros, found, weight);
}

QuantizedWeight read_bytes(const QuantModule& module, const Scheme& scheme) {
  const TensorEntry &codes = *module.weight, &scales = module.get("weight_scale");
  const bool integers = codes.dtype == DType::I8;
  expect_scheme(module, codes, scheme, integers ? "int" : "float", {8});
  module.expect_shape(codes, {{module.rows, module.columns}});
  module.expect_dtype(scales, {DType::F32, DType::BF16, DType::F16, DType::U8, DType::F8_E8M0});
  const bool exponents = scales.dtype == DType::U8 || scales.dtype == DType::F8_E8M0;
  if (exponents && (integers || scheme.group != 32)) {
    module.fail_at(scales, "is {}: expected floats, but for floats of 8 bits in groups of 32",
                   initrt::name(scales.dtype));
  }
  QuantizedWeight weight;
  weight.method = QuantMethod::Bytes;
  set_blocks(module, scheme, weight);
  weight.components.push_back(component_of(module, QuantRole::Codes, codes, QuantAxis::Rows, 1, 1));
  add_scale_grid(module, QuantRole::Scales, scales, weight);
  add_plain_zeros(module, scheme, weight);
  return weight;
}

void add_packed_zeros(const QuantModule& module, QuantizedWeight& weight) {
  const TensorEntry& zeros = module.get("weight_zero_point");
  module.expect_dtype(zeros, {DType::I32});
  const std::uint64_t words =
      divide_up(checked_product(quote(module.name), {module.rows, std::uint64_t{weight.bits}}), 32);
  module.expect_shape(zeros, {{words, divide_up(module.columns, weight.block_columns)}});
  weight.components.push_back(
      component_of(module, QuantRole::Zeros, zeros, QuantAxis::Rows, weight.bits, 32));
}

QuantizedWeight read_packed(const QuantModule& module, const Scheme& scheme) {
  const TensorEntry &codes = module.get("weight_packed"), &scales = module.get("weight_scale");
  expect_scheme(module, codes, scheme, "int", {2, 4, 8});
  QuantizedWeight weight;
  weight.method = QuantMethod::PackedInts;
  weight.bits = static_cast<std::uint32_t>(scheme.bits);
  set_blocks(module, scheme, weight);
  const std::uint64_t words = divide_up(
      checked_product(quote(module.name), {module.columns, std::uint64_t{weight.bits}}), 32);
  module.expect_shape(codes, {{module.rows, words}});
  module.expect_dtype(scales, {DType::F32, DType::BF16, DType::F16});
  weight.components.push_back(component_of(module, QuantRole::Codes, codes, QuantAxis::Rows, 1, 1));
  add_scale_grid(module, QuantRole::Scales, scales, weight);
  const bool packed_zeros = !scheme.symmetric && weight.block_rows == 1;
  packed_zeros ? add_packed_zeros(module, weight) : add_plain_zeros(module, scheme, weight);
  if (scheme.ordered) (void)module.get("weight_g_idx");
  if (const TensorEntry* const order = module.find("weight_g_idx")) {
    module.expect_dtype(*order, {DType::I32, DType::I64});
    module.expect_shape(*order, {{module.columns}});
    weight.components.push_back(component_of(module, QuantRole::GroupIndex, *order));
  }
  if (const TensorEntry* const shape = module.find("weight_shape")) {
    module.expect_dtype(*shape, {DType::I32, DType::I64});
    module.expect_shape(*shape, {{2}});
    weight.components.push_back(component_of(module, QuantRole::Shape, *shape));
  }
  return weight;
}

QuantizedWeight read_fp4(const QuantModule& module, const Scheme& scheme) {
  const TensorEntry &codes = module.get("weight_packed"), &scales = module.get("weight_scale");
  expect_scheme(module, codes, scheme, "float", {4});
  if (!scheme.symmetric) module.fail_at(codes, "is of floats with zero points: not known here");
  QuantizedWeight weight;
  weight.method = QuantMethod::Fp4;
  weight.bits = 4;
  weight.block_columns = std::max<std::uint64_t>(1, scheme.group);
  const bool powers = scheme.group == 32;
  if (!powers && scheme.group != 16) {
    module.fail_at(codes, "is in groups of {}: expected 32 (MXFP4) or 16 (NVFP4)", scheme.group);
  }
  if (module.columns % weight.block_columns != 0) {
    module.fail_at(codes, "is in groups of {}, which {} columns are no multiple of", scheme.group,
                   module.columns);
  }
  module.expect_shape(codes, {{module.rows, module.columns / 2}});
  powers ? module.expect_dtype(scales, {DType::U8, DType::F8_E8M0})
         : module.expect_dtype(scales, {DType::F8_E4M3});
  weight.components.push_back(component_of(module, QuantRole::Codes, codes, QuantAxis::Rows, 1, 1));
  add_scale_grid(module, QuantRole::Scales, scales, weight);
  if (powers) return weight;
  const TensorEntry& second = module.get("weight_global_scale");
  module.expect_dtype(second, {DType::F32});
  module.expect_shape(second, {{1}, {}});
  weight.second_divides = true;
  weight.components.push_back(component_of(module, QuantRole::SecondScale, second));
  return weight;
}

QuantizedWeight read_as(const QuantModule& module, const Scheme& scheme) {
  if (module.weight != nullptr) return read_bytes(module, scheme);
  const TensorEntry& codes = module.get("weight_packed");
  module.expect_dtype(codes, {DType::I32, DType::U8});
  return codes.dtype == DType::I32 ? read_packed(module, scheme) : read_fp4(module, scheme);
}

// Fails for what changes weights otherwise than their tensors tell.
void check_config(const QuantModule& module, const TensorEntry& codes) {
  constexpr std::string_view kFormats[] = {"",
                                           "pack-quantized",
                                           "int-quantized",
                                           "float-quantized",
                                           "dense",
                                           "naive-quantized",
                                           "mxfp4-pack-quantized",
                                           "nvfp4-pack-quantized",
                                           "mixed-precision",
                                           "mxfp8-quantized"};
  const QuantConfig& config = module.config;
  const std::string format = config.text({"format"});
  if (std::find(std::begin(kFormats), std::end(kFormats), format) == std::end(kFormats)) {
    module.fail_at(codes, "is compressed-tensors' in the format {}, which is not read",
                   quote(format));
  }
  if (config.has("transform_config")) {
    module.fail_at(codes, "is transformed (transform_config): such models are not read");
  }
  const auto sparsity = config.object().find("sparsity_config");
  if (sparsity == config.object().end() || !sparsity->is_object()) return;
  const std::string sparse = text_of(*sparsity, "format");
  if (!sparse.empty() && sparse != "dense") {
    module.fail_at(codes, "is sparse in the format {}, which is not read", quote(sparse));
  }
}

}  // namespace

bool is_compressed(const QuantModule& module) {
  if (module.find("weight_packed") != nullptr && module.weight == nullptr) return true;
  const bool bytes = module.weight != nullptr &&
                     (module.weight->dtype == DType::I8 || module.weight->dtype == DType::F8_E4M3);
  return bytes && module.config.method() == "compressed-tensors" &&
         module.find("weight_scale") != nullptr;
}

QuantizedWeight read_compressed(const QuantModule& module) {
  const TensorEntry& codes =
      module.weight != nullptr ? *module.weight : module.get("weight_packed");
  if (module.config.method() != "compressed-tensors") {
    module.fail_at(codes, "is compressed-tensors', but the config says {}",
                   module.config.is_there() ? quote(module.config.method()) : "nothing of it");
  }
  check_config(module, codes);
  const auto groups = module.config.object().find("config_groups");
  std::optional<QuantizedWeight> fitting;
  std::string first_error;
  if (groups != module.config.object().end() && groups->is_object()) {
    constexpr std::size_t kMaxGroups = 256;  // each is tried for each weight
    if (groups->size() > kMaxGroups) {
      fail("{}: the config has {} config_groups: expected at most {}", module.catalog.path,
           groups->size(), kMaxGroups);
    }
    for (const Json& group : *groups) {
      const auto weights = group.is_object() ? group.find("weights") : group.end();
      if (!group.is_object() || weights == group.end() || !weights->is_object()) continue;
      std::optional<QuantizedWeight> weight;
      try {
        weight = read_as(module, scheme_of(*weights));
      } catch (const Error& error) {
        if (first_error.empty()) first_error = error.what();
        continue;
      }
      if (fitting && !(*fitting == *weight)) {
        module.fail_at(codes, "fits two of the config's config_groups, which differ");
      }
      fitting = std::move(weight);
    }
  }
  if (fitting) return *fitting;
  if (!first_error.empty()) throw Error(first_error);
  module.fail_at(codes, "is compressed-tensors', but the config has no config_groups with weights");
}

}  // namespace initrt
