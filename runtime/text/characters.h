// Properties of characters, and text normalization, by utf8proc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace initrt {

/// The first character of valid, non-empty UTF-8.
[[nodiscard]] std::string_view first_character(std::string_view text);

/// The last character of valid, non-empty UTF-8.
[[nodiscard]] std::string_view last_character(std::string_view text);

/// The first extended grapheme cluster of valid, non-empty UTF-8: what is seen as one character.
[[nodiscard]] std::string_view first_cluster(std::string_view text);

/// Whether the first character of valid, non-empty UTF-8 is Unicode's White_Space.
[[nodiscard]] bool begins_with_space(std::string_view text);

/// Whether it is \w of Unicode's Technical Standard 18: letters, marks, decimal digits, connectors,
/// joiners, and the symbols that count as alphabetic (circled and squared letters).
[[nodiscard]] bool begins_with_word(std::string_view text);

/// Whether it is a mark that the reference tokenizers take for an accent.
[[nodiscard]] bool begins_with_accent(std::string_view text);

enum class NormalForm : std::uint8_t { C, D, KC, KD };

/// @param text valid UTF-8
[[nodiscard]] std::string to_normal_form(std::string_view text, NormalForm form);

/// Each character as its lower case; the whole of it where that is several ("İ").
/// @param text valid UTF-8
[[nodiscard]] std::string to_lower_case(std::string_view text);

}  // namespace initrt
