// The LLaMA family (Touvron et al. 2023, arXiv:2302.13971): pre-norm blocks of rotary attention
// with grouped KV heads and a SiLU-gated feed-forward.
#pragma once

#include <nlohmann/json.hpp>

#include "sharding/graph.h"

namespace initrt {

/// @throws Error for configs that are not well-formed or use what is not known here.
[[nodiscard]] Graph build_llama(const nlohmann::json& config);

}  // namespace initrt
