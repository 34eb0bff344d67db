#include "sharding/checkpoint/piece_name.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace initrt {
namespace {

std::optional<std::uint64_t> five_digits(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() != 5 || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

}  // namespace

std::optional<PieceName> parse_piece_name(std::string_view name, std::string_view suffix) {
  constexpr std::string_view kPattern = "-00001-of-00003";
  if (!name.ends_with(suffix) || name.size() <= kPattern.size() + suffix.size()) return {};
  name.remove_suffix(suffix.size());
  const std::string_view tail = name.substr(name.size() - kPattern.size());
  const auto number = five_digits(tail.substr(1, 5)), count = five_digits(tail.substr(10, 5));
  if (!tail.starts_with("-") || tail.substr(6, 4) != "-of-" || !number || !count) return {};
  return PieceName{std::string(name.substr(0, name.size() - kPattern.size())), *number, *count};
}

bool are_all_pieces(const std::vector<std::string>& names, std::string_view suffix) {
  std::set<std::string> prefixes;
  std::set<std::uint64_t> numbers;
  for (const std::string& name : names) {
    const std::optional<PieceName> piece = parse_piece_name(name, suffix);
    if (!piece || piece->count != names.size()) return false;
    prefixes.insert(piece->prefix);
    numbers.insert(piece->number);
  }
  return prefixes.size() == 1 && numbers.size() == names.size() && *numbers.begin() == 1 &&
         *numbers.rbegin() == names.size();
}

}  // namespace initrt
