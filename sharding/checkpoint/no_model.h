// Checkpoints that are no model by themselves (adapters, vision projectors), or none that is read.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// What a GGUF file with this metadata is, and what to do; "" for a model.
[[nodiscard]] std::string describe_gguf_kind(const nlohmann::json& metadata);

/// The same for any checkpoint: an adapter is told by the names of its tensors, and its base model
/// by the adapter_config.json beside it; what mlx-lm quantized by its packed matrices.
[[nodiscard]] std::string describe_no_model(Files& files, const Catalog& catalog);

/// "an adapter of "org/base", not a model: ...": by adapter_config.json in `directory`.
[[nodiscard]] std::string describe_adapter(Files& files, const std::string& directory);

/// The name of PEFT's file.
inline constexpr std::string_view kAdapterConfig = "adapter_config.json";

}  // namespace initrt
