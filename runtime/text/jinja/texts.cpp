#include "runtime/text/jinja/texts.h"

#include <algorithm>

#include "runtime/text/characters.h"
#include "runtime/text/jinja/call.h"
#include "runtime/text/jinja/code_points.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

bool space(std::string_view character) { return is_space(decode(character)); }

// Where the next line end begins and how long it is, as str.splitlines() has them.
std::pair<std::size_t, std::size_t> next_line_end(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view character = first_character(text.substr(at));
    const char32_t c = decode(character);
    if (c == '\r' && text.substr(at).starts_with("\r\n")) return {at, 2};
    if ((c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
        c == 0x2029) {
      return {at, character.size()};
    }
    at += character.size();
  }
  return {text.size(), 0};
}

std::vector<std::string_view> split_at_spaces(std::string_view text, std::int64_t most,
                                              bool from_end) {
  std::vector<std::string_view> parts;
  text = strip_spaces(text, !from_end, from_end);
  while (!text.empty()) {
    if (most >= 0 && static_cast<std::int64_t>(parts.size()) == most) {
      parts.push_back(strip_spaces(text));
      break;
    }
    const auto is_word = [](std::string_view c) { return !space(c); };
    const std::string_view rest = strip(text, !from_end, from_end, is_word);
    parts.push_back(from_end ? text.substr(rest.size())
                             : text.substr(0, text.size() - rest.size()));
    text = strip_spaces(rest, !from_end, from_end);
  }
  return parts;
}

std::vector<std::string_view> split_at(Heap& heap, std::string_view text, std::string_view by,
                                       std::int64_t most, bool from_end) {
  if (by.empty()) fail("empty separator");
  std::vector<std::string_view> parts;
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t at = from_end ? find_last_text(heap, text, by) : find_text(text, by);
    if (at == std::string_view::npos) break;
    parts.push_back(from_end ? text.substr(at + by.size()) : text.substr(0, at));
    text = from_end ? text.substr(0, at) : text.substr(at + by.size());
  }
  parts.push_back(text);
  return parts;
}

// Whether there are letters with a case, and all have this one.
bool has_case(std::string_view text, const std::string& changed, const std::string& other) {
  return changed == text && other != text;
}

}  // namespace

Value split_text(Heap& heap, std::string_view text, const std::optional<Value>& separator,
                 std::int64_t most, bool from_end) {
  const bool spaces = !separator || separator->is<None>();
  heap.expect_room(text.size());
  heap.step(1 + text.size() / 64);
  std::vector<std::string_view> parts =
      spaces ? split_at_spaces(text, most, from_end)
             : split_at(heap, text, string_of(separator, "sep", ""), most, from_end);
  if (from_end) std::reverse(parts.begin(), parts.end());
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(heap.text(std::string(part)));
  return heap.list(std::move(items));
}

std::size_t find_last_text(Heap& heap, std::string_view text, std::string_view part) {
  const std::size_t found = text.rfind(part);
  const std::size_t walked = found == std::string_view::npos ? text.size() : text.size() - found;
  heap.step(1 + walked / 64 * (1 + part.size() / 64));
  return found;
}

Value split_lines(Heap& heap, std::string_view text, bool keep_ends) {
  std::vector<Value> lines;
  while (!text.empty()) {
    const auto [at, bytes] = next_line_end(text);
    lines.push_back(heap.text(std::string(text.substr(0, at + (keep_ends ? bytes : 0)))));
    text.remove_prefix(at + bytes);
  }
  return heap.list(std::move(lines));
}

std::string replaced(Heap& heap, std::string_view text, std::string_view old,
                     std::string_view replacement, std::int64_t most) {
  Output out(heap);
  heap.step(1 + text.size() / 64);
  std::size_t at = 0;
  for (std::int64_t count = 0; most < 0 || count < most; ++count) {
    if (old.empty()) {  // before each character, and at the end
      out += replacement;
      if (at == text.size()) return out.take();
      const std::string_view character = first_character(text.substr(at));
      out += character;
      at += character.size();
      continue;
    }
    const std::size_t found = find_text(text, old, at);
    if (found == std::string_view::npos) break;
    out += text.substr(at, found - at);
    out += replacement;
    at = found + old.size();
  }
  out += text.substr(at);
  return out.take();
}

std::string justified(Heap& heap, const TextObject& text, std::int64_t width, std::string_view fill,
                      char align) {
  if (count_code_points(fill) != 1) fail("The fill character must be exactly one character long");
  const auto length = static_cast<std::int64_t>(text.length);
  const auto missing = static_cast<std::size_t>(std::max<std::int64_t>(width - length, 0));
  heap.expect_room(std::min(missing, std::size_t{1} << 40) * fill.size());
  // Python gives an odd space to the left where the width is odd too.
  const std::size_t left = align == '>'   ? missing
                           : align == '^' ? missing / 2 + (missing & width & 1)
                                          : 0;
  std::string result;
  for (std::size_t i = 0; i < left; ++i) result += fill;
  result += text.text;
  for (std::size_t i = left; i < missing; ++i) result += fill;
  return result;
}

std::string title_case(std::string_view text) {
  std::string title;
  for (bool inside = false; !text.empty();) {
    const std::string_view character = first_character(text);
    text.remove_prefix(character.size());
    title += inside ? to_lower(character) : to_upper(character);
    inside = is_letter(decode(character));
  }
  return title;
}

bool is_upper_text(std::string_view text) { return has_case(text, to_upper(text), to_lower(text)); }

bool is_lower_text(std::string_view text) { return has_case(text, to_lower(text), to_upper(text)); }

}  // namespace initrt::jinja
