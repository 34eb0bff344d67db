// The references in tests/golden/tokenizer_styles.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"

namespace initrt::styles {

/// What the reference library makes of a text.
struct Reference {
  std::size_t count = 0;      ///< of ids
  std::uint32_t ids = 0;      ///< hash
  std::uint32_t decoded = 0;  ///< hash of the text they are decoded to
};

/// What decoding does to the first token of a whole text, as the reference has it.
enum class FirstToken { AsItIs, WithoutOneSpace, WithoutSpaces };

[[nodiscard]] std::vector<std::string> names();
/// All texts, as bytes; some are not UTF-8.
[[nodiscard]] const std::vector<std::string>& texts();
[[nodiscard]] nlohmann::json tokenizer_json(const std::string& style);
[[nodiscard]] std::vector<Reference> references(const std::string& style);
[[nodiscard]] FirstToken first_token(const std::string& style);

/// FNV-1a, folded to 32 bits.
[[nodiscard]] std::uint32_t hash(std::string_view bytes);
[[nodiscard]] std::uint32_t hash(const std::vector<TokenId>& ids);

/// For a failure: how to see the reference's ids, the text and the ids that are wrong.
[[nodiscard]] std::string describe(const std::string& style, std::size_t text,
                                   const std::vector<TokenId>& ids);

}  // namespace initrt::styles
