// Sets of characters in PCRE2's syntax, with the characters of the Unicode versions that the
// reference tokenizers know: 16 in their regular expressions, 8 in what they call punctuation.
#pragma once

#include <string>
#include <string_view>

namespace initrt {

/// The inside of a set, `[...]`, that holds the characters with a Unicode property; general
/// categories are those of Unicode 16.
/// @param name e.g. "Lu", or "L" for all categories that begin so, or "Han"
[[nodiscard]] std::string property_set(std::string_view name);

/// The inside of a set that holds what Oniguruma's \w matches.
[[nodiscard]] std::string word_set();

/// Matches one character that the pre-tokenizer Punctuation takes for one.
[[nodiscard]] std::string punctuation_pattern();

/// Matches what the pre-tokenizer Whitespace leaves: runs of word characters, or of what is neither
/// a word character nor white space.
[[nodiscard]] std::string word_or_symbols_pattern();

}  // namespace initrt
