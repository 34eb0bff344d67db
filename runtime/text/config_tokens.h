// Tokens that the files beside a tokenizer give an id: tokenizer_config.json's added_tokens_decoder
// and added_tokens.json.
#pragma once

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/text/json_node.h"

namespace initrt {

/// Members of tokenizer_config.json and special_tokens_map.json that name one special token each.
inline constexpr std::array kSpecialRoles = {"bos_token", "eos_token", "unk_token", "sep_token",
                                             "pad_token", "cls_token", "mask_token"};

/// Sets those flags of an added token that `from` has.
void take_flags(const JsonNode& from, nlohmann::json& token);

/// The entries of added_tokens that tokenizer_config.json's added_tokens_decoder stands for, by
/// their text; none where it has no such member. @throws Error naming what is malformed
[[nodiscard]] std::map<std::string, nlohmann::json> tokens_of_config(const JsonNode& config);

/// What lies beside a tokenizer.json; an empty object for what is not there.
struct FilesBesideTokenizer {
  nlohmann::json config;   ///< tokenizer_config.json
  nlohmann::json special;  ///< special_tokens_map.json
  nlohmann::json added;    ///< added_tokens.json: text to id
};

/// Adds to a tokenizer.json the tokens that only the files beside it name, as transformers does:
/// those of the config's added_tokens_decoder, or where it has none, of added_tokens.json; and
/// special tokens, where the vocabulary has them. A text that the vocabulary has keeps its id
/// there; what would have another text's id is left out.
/// @throws Error naming what is malformed
void add_tokens_beside(nlohmann::json& tokenizer, const FilesBesideTokenizer& files);

}  // namespace initrt
