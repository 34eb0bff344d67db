// Which program's way of quantizing it is, by what lies beside a weight.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// A tensor beside a weight, and its name within the module: "weight_scale", "qzeros".
struct Companion {
  std::string_view leaf;
  const TensorEntry* tensor = nullptr;
};

/// Whether a tensor of this name, within a module that holds a weight, makes other numbers of it.
/// Scales of KV caches do not.
[[nodiscard]] bool changes_weights(std::string_view leaf);

/// Whether a tensor called so, in a module without a weight, divides or multiplies activations:
/// AutoAWQ's "act.scales", what smoothing leaves. @param leaf with its dot
[[nodiscard]] bool scales_activations(std::string_view leaf);

/// Whether these are a LoRA adapter's.
[[nodiscard]] bool is_lora(std::span<const Companion> companions);

/// The method's name for a person, as "GPTQ" or "bitsandbytes int8"; "" where nothing tells it.
/// @param weight that is there, or null
/// @param said quantization_of() the config
[[nodiscard]] std::string quantization_method(const TensorEntry* weight,
                                              std::span<const Companion> companions,
                                              std::string_view said);

}  // namespace initrt
