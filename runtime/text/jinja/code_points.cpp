#include "runtime/text/jinja/code_points.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/text/characters.h"
#include "runtime/text/utf8.h"

namespace initrt::jinja {
namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// Upper cases of several characters, as far as they are of Latin and Armenian letters (Unicode's
// SpecialCasing.txt).
struct Upper {
  char32_t from;
  std::string_view to;
};
constexpr std::array kLongUppers = {Upper{0xDF, "SS"},        Upper{0x149, "\u02BCN"},
                                    Upper{0x1F0, "J\u030C"},  Upper{0x587, "\u0535\u0552"},
                                    Upper{0x1E96, "H\u0331"}, Upper{0x1E97, "T\u0308"},
                                    Upper{0x1E98, "W\u030A"}, Upper{0x1E99, "Y\u030A"},
                                    Upper{0x1E9A, "A\u02BE"}, Upper{0xFB00, "FF"},
                                    Upper{0xFB01, "FI"},      Upper{0xFB02, "FL"},
                                    Upper{0xFB03, "FFI"},     Upper{0xFB04, "FFL"},
                                    Upper{0xFB05, "ST"},      Upper{0xFB06, "ST"}};

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

}  // namespace

std::size_t count_code_points(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), continues));
}

std::size_t byte_of_code_point(std::string_view text, std::size_t length, std::size_t index) {
  if (index >= length) return text.size();
  if (length == text.size()) return index;
  std::size_t byte = 0;
  for (;; ++byte) {
    if (continues(text[byte])) continue;
    if (index == 0) return byte;
    --index;
  }
}

char32_t decode(std::string_view character) {
  utf8proc_int32_t code_point = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(character.data()),
                   static_cast<utf8proc_ssize_t>(character.size()), &code_point);
  return static_cast<char32_t>(code_point);
}

bool is_space(char32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_letter(char32_t c) {
  const utf8proc_category_t is = category(c);
  return is >= UTF8PROC_CATEGORY_LU && is <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

std::string_view strip(std::string_view text, bool left, bool right,
                       const std::function<bool(std::string_view)>& goes) {
  while (left && !text.empty() && goes(first_character(text))) {
    text.remove_prefix(first_character(text).size());
  }
  while (right && !text.empty() && goes(last_character(text))) {
    text.remove_suffix(last_character(text).size());
  }
  return text;
}

std::string_view strip_spaces(std::string_view text, bool left, bool right) {
  return strip(text, left, right, [](std::string_view c) { return is_space(decode(c)); });
}

std::string to_upper(std::string_view text) {
  std::string upper;
  upper.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view character = first_character(rest);
    rest.remove_prefix(character.size());
    const char32_t c = decode(character);
    const auto* found = std::find_if(kLongUppers.begin(), kLongUppers.end(),
                                     [&](const Upper& known) { return known.from == c; });
    if (found != kLongUppers.end()) {
      upper += found->to;
    } else {
      append_utf8(upper, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
    }
  }
  return upper;
}

std::string to_lower(std::string_view text) { return to_lower_case(text); }

std::string capitalized(std::string_view text) {
  if (text.empty()) return {};
  const std::string_view first = first_character(text);
  return to_upper(first) + to_lower(text.substr(first.size()));
}

std::size_t find_text(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  const void* found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace initrt::jinja
