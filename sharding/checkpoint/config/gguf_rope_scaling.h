// How a GGUF file says which rotary frequencies there are.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sharding/checkpoint/config/gguf_source.h"

namespace initrt {

/// Hugging Face's rope_scaling for what the file says, null for none.
/// @throws Error for a type that is not known, or without its factor
[[nodiscard]] nlohmann::json gguf_rope_scaling(const GgufSource& source);

/// Where layers with a window have a base of rotary frequencies of their own, says in `config`
/// which frequencies each of both kinds has. Those with a window are not scaled.
/// @param config the shared keys
void add_base_of_windows(const GgufMetadata& metadata, nlohmann::json& config);

/// @param config the shared keys
/// @throws Error where layers with a window have another base
void check_one_rope_base(const GgufMetadata& metadata, const nlohmann::json& config);

}  // namespace initrt
