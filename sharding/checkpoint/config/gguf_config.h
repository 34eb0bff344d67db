// The model config that a GGUF file's metadata implies, in Hugging Face's keys.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// For the architecture "llama": everything that a LlamaForCausalLM's config.json holds. For any
/// other only {"model_type": its name}, so that the file can be listed and whoever builds a graph
/// from it says what it lacks. Null where the metadata names no architecture.
/// @throws Error naming the metadata key that is missing or has no usable value.
[[nodiscard]] nlohmann::json config_from_gguf(const nlohmann::json& metadata,
                                              std::span<const TensorEntry> tensors);

}  // namespace initrt
