// The tokens that end an answer, as what comes with the model names them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "runtime/text/tokenizer.h"
#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// "eos_token_id", a number or a list of them: the generation config's, else the model config's;
/// and, of a GGUF file, beside its end of text (which is in the config) those of a turn and of a
/// message. Ascending; nothing where none is named.
/// @param config of a model, in Hugging Face's keys
/// @param catalog whose metadata is looked at
/// @throws Error naming the key whose value is no token id
[[nodiscard]] std::vector<TokenId> end_tokens_of_model(const nlohmann::json& config,
                                                       const Catalog& catalog);

}  // namespace initrt
