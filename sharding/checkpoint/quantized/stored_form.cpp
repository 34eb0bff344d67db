#include "sharding/checkpoint/quantized/stored_form.h"

#include <algorithm>
#include <string_view>

#include "sharding/checked.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

std::optional<BlockShape> fp8_blocks(const QuantConfig& config) {
  if (config.method() != "fp8") return {};
  const auto said = config.object().find("weight_block_size");
  return said == config.object().end() ? std::nullopt : block_shape(*said);
}

bool is_mxfp4(const QuantConfig& config) { return config.method() == "mxfp4"; }

// Whether a name holds the parts of a pattern between its "*", in order.
bool holds(std::string_view name, std::string_view pattern) {
  while (true) {
    const std::size_t star = pattern.find('*');
    const std::string_view part = pattern.substr(0, star);
    const std::size_t at = name.find(part);
    if (at == std::string_view::npos) return false;
    if (star == std::string_view::npos) return true;
    name.remove_prefix(at + part.size());
    pattern.remove_prefix(star + 1);
  }
}

bool is_left_out(const QuantConfig& config, std::string_view name) {
  const auto skipped = config.object().find("modules_to_not_convert");
  if (skipped == config.object().end() || !skipped->is_array()) return false;
  return std::any_of(skipped->begin(), skipped->end(), [&](const Json& module) {
    return module.is_string() && holds(name, module.get_ref<const std::string&>());
  });
}

// Matrices of blocks but for routers, which no method of these takes for linear layers.
bool is_quantized(const QuantConfig& config, const StoredTensor& tensor) {
  const std::string_view name = tensor.name;
  const bool router = name.ends_with(".gate.weight") || name.ends_with(".router.weight");
  return tensor.shape.size() >= 2 && name.find(".layers.") != std::string_view::npos && !router &&
         !is_left_out(config, name);
}

}  // namespace

bool is_stored_form_known(const QuantConfig& config) {
  return fp8_blocks(config) || is_mxfp4(config);
}

std::vector<StoredTensor> stored_form(const QuantConfig& config, StoredTensor tensor) {
  if (!config.is_there() || !is_quantized(config, tensor)) return {std::move(tensor)};
  if (const auto block = fp8_blocks(config); block && tensor.shape.size() == 2) {
    const StoredTensor scales{
        tensor.name + "_scale_inv",
        DType::F32,
        {divide_up(tensor.shape[0], block->rows), divide_up(tensor.shape[1], block->columns)}};
    tensor.dtype = DType::F8_E4M3;
    return {std::move(tensor), scales};
  }
  constexpr std::uint64_t kGroup = 32;
  // [experts, in, out] as numbers, codes by rows of `out`.
  if (!is_mxfp4(config) || tensor.shape.size() != 3 || tensor.shape[1] % kGroup != 0) {
    return {std::move(tensor)};
  }
  const std::uint64_t experts = tensor.shape[0], out = tensor.shape[2];
  const std::uint64_t groups = tensor.shape[1] / kGroup;
  return {{tensor.name + "_blocks", DType::U8, {experts, out, groups, kGroup / 2}},
          {tensor.name + "_scales", DType::U8, {experts, out, groups}}};
}

}  // namespace initrt
