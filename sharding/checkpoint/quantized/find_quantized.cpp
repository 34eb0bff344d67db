#include "sharding/checkpoint/quantized/find_quantized.h"

#include <algorithm>
#include <array>

namespace initrt {
namespace {

// The first that a weight is stored in counts.
constexpr std::array kFormats = {
    QuantFormat{is_four_bit, read_four_bit},
    QuantFormat{is_llm_int8, read_llm_int8},
    QuantFormat{is_compressed, read_compressed},
    QuantFormat{is_mxfp4, read_mxfp4},
    QuantFormat{is_awq, read_awq},
    QuantFormat{is_gptq, read_gptq},
    QuantFormat{is_nvfp4, read_nvfp4},
    QuantFormat{is_fp8, read_fp8},
};

// What only activations and caches are quantized by.
bool leaves_weights(std::string_view leaf) {
  constexpr std::string_view kLeaves[] = {
      "input_scale",      "input_zero_point", "input_global_scale",
      "input_scale_ub",   "output_scale",     "output_zero_point",
      "activation_scale", "act_scale",        "qscale_act"};
  return std::find(std::begin(kLeaves), std::end(kLeaves), leaf) != std::end(kLeaves);
}

}  // namespace

std::optional<FoundQuantized> find_quantized(const QuantModule& module) {
  if (module.rows == 0 || module.columns == 0 || module.companions.empty()) return {};
  const auto format = std::find_if(kFormats.begin(), kFormats.end(),
                                   [&](const QuantFormat& one) { return one.is(module); });
  if (format == kFormats.end()) return {};
  FoundQuantized found;
  found.weight = format->read(module);
  found.weight.rows = module.rows;
  found.weight.columns = module.columns;
  for (const Companion& companion : module.companions) {
    const auto index = static_cast<std::uint32_t>(companion.tensor - module.catalog.tensors.data());
    const bool used =
        std::any_of(found.weight.components.begin(), found.weight.components.end(),
                    [&](const QuantComponent& component) { return component.tensor == index; });
    if (used) continue;
    if (!leaves_weights(companion.leaf)) return {};
    found.others.push_back(index);
  }
  return found;
}

}  // namespace initrt
