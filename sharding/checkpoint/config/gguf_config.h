// The model config that a GGUF file's metadata implies, in Hugging Face's keys.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// The values of a small float32 tensor of the file: some of a rotary embedding's parameters are
/// kept as one. @throws Error where it is not such a tensor
using ReadFloats = std::function<std::vector<float>(const TensorEntry&)>;

/// For an architecture that is known here, everything that the config.json of its model holds. For
/// any other only {"model_type": its name}, so that the file can be listed and whoever builds a
/// graph from it says what it lacks. Null where the metadata names no architecture.
/// @param unread where not null, given the architecture's keys that were not read, though they may
///   change the model's numbers
/// @throws Error naming the metadata key that is missing or has no usable value.
[[nodiscard]] nlohmann::json config_from_gguf(const nlohmann::json& metadata,
                                              std::span<const TensorEntry> tensors,
                                              const ReadFloats& read_floats,
                                              std::vector<std::string>* unread = nullptr);

}  // namespace initrt
