// The tokens of a GGUF file's metadata, and the merges that make them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/text/json_node.h"

namespace initrt {

/// Values of `tokenizer.ggml.token_type`.
enum class GgufTokenType : std::uint8_t {
  Normal = 1,
  Unknown = 2,
  Control = 3,
  UserDefined = 4,
  Unused = 5,
  Byte = 6,
};

struct GgufTokens {
  std::vector<const std::string*> texts;  ///< by id; of the metadata, which must outlive this
  std::vector<GgufTokenType> types;       ///< by id
  nlohmann::json vocabulary;              ///< token to id
};

/// @throws Error naming the entry that is malformed
[[nodiscard]] GgufTokens gguf_tokens(const JsonNode& metadata);

/// The merges that the metadata lists.
/// @throws Error naming the entry that is malformed
[[nodiscard]] nlohmann::json listed_merges(const JsonNode& metadata);

/// The merges of a SentencePiece vocabulary, which has scores instead: all pairs of tokens that are
/// a token together, the best score first; of one score, the longer left half first, as
/// transformers' converters have it.
/// @throws Error naming the entry that is malformed, or where tokens can be made in too many ways
[[nodiscard]] nlohmann::json merges_by_score(const JsonNode& metadata, const GgufTokens& tokens);

}  // namespace initrt
