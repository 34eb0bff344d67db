// What GGUF files of Gemma 4 say: sizes that differ by the kind of a layer.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sharding/checkpoint/config/gguf_source.h"

namespace initrt {

/// Adds it to what all architectures have. @throws Error for what does not go together
void config_from_gguf_gemma4(const GgufSource& source, nlohmann::json& config);

}  // namespace initrt
