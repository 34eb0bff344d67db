// A byte-level BPE tokenizer as Hugging Face's older repositories have it: vocab.json and
// merges.txt, and no tokenizer.json.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "runtime/text/made_tokenizer.h"

namespace initrt {

/// What the files hold; an empty object for one that is not there.
struct VocabAndMerges {
  nlohmann::json vocabulary = nlohmann::json::object();  ///< vocab.json: token to id
  std::string merges;                                    ///< merges.txt
  nlohmann::json config = nlohmann::json::object();      ///< tokenizer_config.json
  nlohmann::json special = nlohmann::json::object();     ///< special_tokens_map.json
  nlohmann::json added = nlohmann::json::object();       ///< added_tokens.json: token to id
  std::string model_type;                                ///< of the model's config, or ""
};

/// The tokenizer that transformers makes of these files: how text is cut is what the class of
/// tokenizer_config.json does, or, where it names none, the model's usual one. A special token that
/// no file gives an id is left out: a model has no embedding for it.
/// @throws Error naming the file and what is malformed in it, or the class that is not known
[[nodiscard]] VocabTokenizer tokenizer_json_from_vocab(const VocabAndMerges& files);

/// A special token as these files name it: a string, or an object with "content"; nothing where the
/// key is absent or something else.
[[nodiscard]] std::optional<std::string> special_token_text(const nlohmann::json& config,
                                                            const char* key);

}  // namespace initrt
