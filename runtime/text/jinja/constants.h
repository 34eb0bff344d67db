// Strings and numbers as a template's source spells them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace initrt::jinja {

/// What a string's inside stands for: Python's escapes; one that is not known stays as it is.
/// @throws Error for one that is cut off or stands for no character
[[nodiscard]] std::string unescaped(std::string_view text);

struct NumberText {
  std::string digits;     ///< without underscores
  std::size_t bytes = 0;  ///< of the source
  bool is_float = false;
};

/// The number that `text`, which begins with a digit, begins with.
/// @param only_digits whether a dot ends it
[[nodiscard]] NumberText number_at(std::string_view text, bool only_digits);

/// The value of an Integer's digits (0x, 0o and 0b too). @throws Error beyond 64 bits
[[nodiscard]] std::int64_t parse_integer(std::string_view digits);
[[nodiscard]] double parse_real(std::string_view digits);

}  // namespace initrt::jinja
