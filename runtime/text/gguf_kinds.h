// The kinds of `tokenizer.ggml.pre`: how text is cut for a byte-level vocabulary in a GGUF file.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "runtime/text/json_node.h"

namespace initrt {

struct GgufKind {
  nlohmann::json pre_tokenizer;  ///< members of a tokenizer.json
  nlohmann::json normalizer;
  bool ignore_merges = false;
  bool add_bos = false;  ///< where the metadata does not say
};

/// The kind that the metadata names; "default" where it names none.
/// @throws Error naming a kind that is not known
[[nodiscard]] GgufKind gguf_kind(const JsonNode& metadata);

/// The kind of this name, which is one of those known.
/// @param prefix whether a space comes before the text's first word
[[nodiscard]] GgufKind byte_level_kind(std::string_view name, bool prefix);

}  // namespace initrt
