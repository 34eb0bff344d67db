// UTF-8 from untrusted bytes. What is not UTF-8 is replaced, never passed on: the regular
// expressions run without checks of their own and rely on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace initrt {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  ///< U+FFFD

struct Utf8Step {
  enum class Kind : std::uint8_t {
    Valid,      ///< a whole character
    Truncated,  ///< the text ends inside what could still become a character
    Invalid,    ///< bytes that begin no character
  };
  Kind kind = Kind::Valid;
  std::size_t bytes = 0;  ///< its length; for Invalid, the maximal subpart that one U+FFFD replaces
};

/// What the first bytes of a non-empty text are (Unicode 15, table 3-7: no surrogates, no
/// overlong forms, nothing above U+10FFFF).
[[nodiscard]] Utf8Step utf8_step(std::string_view text);

/// The text with every maximal subpart that is not UTF-8 replaced by U+FFFD, as Python's
/// bytes.decode(errors="replace") does.
[[nodiscard]] std::string to_valid_utf8(std::string_view text);

/// Appends the character. @param code_point a Unicode scalar value.
void append_utf8(std::string& text, char32_t code_point);

}  // namespace initrt
