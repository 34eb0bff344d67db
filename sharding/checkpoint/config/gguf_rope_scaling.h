// How a GGUF file says that rotary frequencies are scaled.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sharding/checkpoint/config/gguf_source.h"

namespace initrt {

/// Hugging Face's rope_scaling for what the file says, null for none.
/// @throws Error for a type that is not known, or without its factor
[[nodiscard]] nlohmann::json gguf_rope_scaling(const GgufSource& source);

}  // namespace initrt
