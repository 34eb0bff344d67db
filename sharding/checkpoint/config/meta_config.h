// Meta's params.json in Hugging Face's keys.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// The fields of Meta's ModelArgs (github.com/meta-llama/llama, model.py), and Mistral's of the
/// same names. Sizes that params.json leaves to the code (feed-forward, vocabulary) are the
/// tensors'. Null where the params are some other program's, or the tensors another model's.
/// @throws Error naming the field that is missing or ill-typed
[[nodiscard]] nlohmann::json config_from_meta(const nlohmann::json& params, const Catalog& catalog);

}  // namespace initrt
