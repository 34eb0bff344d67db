#include "runtime/text/jinja/constants.h"

#include <charconv>

#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The code point of so many hexadecimal digits.
char32_t hexadecimal(std::string_view text, std::size_t digits) {
  std::uint32_t value = 0;
  const std::string_view part = text.substr(0, digits);
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value, 16);
  if (part.size() != digits || error != std::errc() || end != part.data() + part.size()) {
    fail("an escape in a string is cut off");
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
    fail("an escape in a string stands for no character");
  }
  return value;
}

}  // namespace

std::string unescaped(std::string_view text) {
  constexpr std::string_view kEscapes = "\\'\"abfnrtv\n", kMeant = "\\'\"\a\b\f\n\r\t\v";
  std::string result;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      result += text[at];
      continue;
    }
    const char escape = text[++at];
    const std::size_t known = kEscapes.find(escape);
    const std::size_t digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
    if (known != std::string_view::npos) {
      if (escape != '\n') result += kMeant[known];
    } else if (digits > 0) {
      append_utf8(result, hexadecimal(text.substr(at + 1), digits));
      at += digits;
    } else if (escape >= '0' && escape <= '7') {
      std::uint32_t value = 0;
      std::size_t count = 0;
      while (count < 3 && at + count < text.size() && text[at + count] >= '0' &&
             text[at + count] <= '7') {
        value = value * 8 + static_cast<std::uint32_t>(text[at + count] - '0');
        ++count;
      }
      append_utf8(result, value);
      at += count - 1;
    } else {
      result += '\\';
      result += escape;
    }
  }
  return result;
}

NumberText number_at(std::string_view text, bool only_digits) {
  NumberText number;
  const auto take_while = [&](const auto& belongs) {
    while (number.bytes < text.size() &&
           (belongs(text[number.bytes]) ||
            (text[number.bytes] == '_' && number.bytes + 1 < text.size() &&
             belongs(text[number.bytes + 1])))) {
      if (text[number.bytes] != '_') number.digits += text[number.bytes];
      ++number.bytes;
    }
  };
  const std::string_view prefix = text.substr(0, 2);
  if (prefix == "0x" || prefix == "0X" || prefix == "0o" || prefix == "0O" || prefix == "0b" ||
      prefix == "0B") {
    number.digits = prefix;
    number.bytes = 2;
    take_while(
        [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
    return number;
  }
  const auto digit_after = [&](std::size_t bytes) {
    return number.bytes + bytes < text.size() && is_digit(text[number.bytes + bytes]);
  };
  take_while(is_digit);
  if (only_digits) return number;
  if (text.substr(number.bytes).starts_with('.') && digit_after(1)) {
    number.is_float = true;
    number.digits += '.';
    ++number.bytes;
    take_while(is_digit);
  }
  const std::string_view rest = text.substr(number.bytes);
  if (rest.starts_with('e') || rest.starts_with('E')) {
    const bool sign = rest.size() > 1 && (rest[1] == '+' || rest[1] == '-');
    if (digit_after(sign ? 2 : 1)) {
      number.is_float = true;
      number.digits += 'e';
      if (sign && rest[1] == '-') number.digits += '-';
      number.bytes += sign ? 2 : 1;
      take_while(is_digit);
    }
  }
  return number;
}

std::int64_t parse_integer(std::string_view digits) {
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    const char kind = static_cast<char>(digits[1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
  }
  if (base != 10) digits.remove_prefix(2);
  std::int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error == std::errc::result_out_of_range) fail("an int beyond 64 bits");
  if (error != std::errc() || end != digits.data() + digits.size()) fail("a number is malformed");
  return value;
}

double parse_real(std::string_view digits) {
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) fail("a number is malformed");
  return value;
}

}  // namespace initrt::jinja
