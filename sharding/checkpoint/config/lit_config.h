// Lightning's own model configs in Hugging Face's keys.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// The fields of Lit-GPT's Config (github.com/Lightning-AI/litgpt, config.py), as lit_config.json
/// or model_config.yaml has them: the model class is told by norm, feed-forward and the like. What
/// is none of a known class gets an architecture that names what it is.
/// @throws Error naming the field that is missing or ill-typed
[[nodiscard]] nlohmann::json config_from_lit_gpt(const nlohmann::json& fields);

/// Lit-LLaMA writes no config: sizes are those of the tensors, heads are 128 wide as in every LLaMA
/// of 2023, the rest is what its code has. Null where the tensors are not Lit-LLaMA's.
[[nodiscard]] nlohmann::json config_from_lit_llama(const Catalog& catalog);

}  // namespace initrt
