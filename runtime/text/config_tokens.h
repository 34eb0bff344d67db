// Tokens that the files beside a tokenizer give an id: tokenizer_config.json's added_tokens_decoder
// and added_tokens.json.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/text/json_node.h"

namespace initrt {

/// Sets those flags of an added token that `from` has.
void take_flags(const JsonNode& from, nlohmann::json& token);

/// The entries of added_tokens that tokenizer_config.json's added_tokens_decoder stands for, by
/// their text; none where it has no such member. @throws Error naming what is malformed
[[nodiscard]] std::map<std::string, nlohmann::json> tokens_of_config(const JsonNode& config);

/// Adds to a tokenizer.json the tokens that only the files beside it name, as transformers does: a
/// text that the vocabulary has keeps its id there.
/// @param config tokenizer_config.json  @param added added_tokens.json: text to id
/// @throws Error naming what is malformed
void add_tokens_beside(nlohmann::json& tokenizer, const nlohmann::json& config,
                       const nlohmann::json& added);

}  // namespace initrt
