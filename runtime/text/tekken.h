// Mistral's tekken.json: a vocabulary with ranks, as tiktoken's, the pattern that cuts text for it,
// and special tokens, whose ids come first.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "runtime/text/made_tokenizer.h"

namespace initrt {

/// Whether a JSON file is one, by its members.
[[nodiscard]] bool is_tekken(const nlohmann::json& content);

/// The tokenizer that mistral_common makes of it, which begins a text with <s>; special tokens that
/// are written out in a text become their ids, as with Hugging Face's tokenizer.json of such
/// models.
/// @throws Error naming the member that is malformed
[[nodiscard]] VocabTokenizer tokenizer_json_from_tekken(const nlohmann::json& content);

}  // namespace initrt
