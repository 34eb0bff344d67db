#include "sharding/checkpoint/piece_name.h"

#include <fmt/format.h>

#include <charconv>

namespace initrt {
namespace {

constexpr std::size_t kMaxDigits = 6;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::uint64_t number_of(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

}  // namespace

std::string PieceName::name(std::uint64_t other) const {
  return fmt::format("{}{:0{}}-of-{}{}", before, other, digits.size(), count_digits, after);
}

std::optional<PieceName> parse_piece_name(std::string_view name) {
  constexpr std::string_view kOf = "-of-";
  const std::size_t of = name.rfind(kOf);
  if (of == std::string_view::npos) return {};
  std::size_t begin = of, end = of + kOf.size();
  while (begin > 0 && is_digit(name[begin - 1])) --begin;
  while (end < name.size() && is_digit(name[end])) ++end;
  const std::string_view digits = name.substr(begin, of - begin);
  const std::string_view count_digits = name.substr(of + kOf.size(), end - of - kOf.size());
  if (begin == 0 || digits.empty() || digits.size() > kMaxDigits) return {};
  if (count_digits.empty() || count_digits.size() > kMaxDigits) return {};
  PieceName piece{
      std::string(name.substr(0, begin)), std::string(digits), std::string(count_digits),
      std::string(name.substr(end)),      number_of(digits),   number_of(count_digits)};
  if (piece.count == 0) return {};
  return piece;
}

}  // namespace initrt
