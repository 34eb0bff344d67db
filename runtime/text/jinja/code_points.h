// Text as Python sees it: a sequence of code points, with Python's idea of spaces and cases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace initrt::jinja {

/// All texts here are valid UTF-8.
[[nodiscard]] std::size_t count_code_points(std::string_view text);

/// Where code point `index` begins; the text's size where there are no more.
/// @param length count_code_points(), which spares the walk where all are ASCII
[[nodiscard]] std::size_t byte_of_code_point(std::string_view text, std::size_t length,
                                             std::size_t index);

[[nodiscard]] char32_t decode(std::string_view character);

[[nodiscard]] bool is_space(char32_t c);      ///< str.isspace()
[[nodiscard]] bool is_printable(char32_t c);  ///< str.isprintable(): what repr() leaves as it is
[[nodiscard]] bool is_letter(char32_t c);     ///< str.isalpha()
[[nodiscard]] bool is_decimal(char32_t c);    ///< str.isdecimal()

/// The text without characters of a kind at its ends.
[[nodiscard]] std::string_view strip(std::string_view text, bool left, bool right,
                                     const std::function<bool(std::string_view)>& goes);
/// str.strip() and Jinja's `trim`.
[[nodiscard]] std::string_view strip_spaces(std::string_view text, bool left = true,
                                            bool right = true);

[[nodiscard]] std::string to_upper(std::string_view text);
[[nodiscard]] std::string to_lower(std::string_view text);
/// The first character in upper case and the rest in lower: str.capitalize().
[[nodiscard]] std::string capitalized(std::string_view text);

/// std::string_view::find(), in linear time whatever is searched.
[[nodiscard]] std::size_t find_text(std::string_view text, std::string_view part,
                                    std::size_t from = 0);

}  // namespace initrt::jinja
