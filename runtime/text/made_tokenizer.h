// A tokenizer of other files in the form of a tokenizer.json.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace initrt {

struct VocabTokenizer {
  nlohmann::json json;                   ///< in the form of a tokenizer.json
  std::optional<std::string> end_token;  ///< what ends a text, which may be the class's own
  std::optional<std::string> begin_token = std::nullopt;  ///< what is put before a text
};

/// An entry of added_tokens. @param special stands for no text of its own
[[nodiscard]] nlohmann::json added_token_json(const nlohmann::json& id, const std::string& content,
                                              bool special, bool normalized);

/// A post-processor that puts one token before a text.
[[nodiscard]] nlohmann::json begin_with_json(const std::string& token, const nlohmann::json& id);

/// The decoder of byte-level vocabularies.
[[nodiscard]] nlohmann::json byte_level_decoder_json();

/// A tokenizer.json of tokens with ranks (tiktoken's), which `pattern`, in Oniguruma's syntax, cuts
/// a text for: what it does not match is left out.
[[nodiscard]] nlohmann::json ranked_tokenizer_json(nlohmann::json vocabulary,
                                                   const std::string& pattern,
                                                   nlohmann::json added_tokens,
                                                   nlohmann::json post_processor);

}  // namespace initrt
