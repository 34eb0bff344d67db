// What utf8proc knows about characters.
#include "runtime/text/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

struct Range {
  utf8proc_int32_t first, last;
};

// The reference normalizes by tables older than utf8proc's. Marks that it does not take for
// accents:
constexpr std::array<Range, 76> kLaterMarks{{
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xAFA, 0xAFF},     {0xB55, 0xB55},     {0xC04, 0xC04},     {0xC3C, 0xC3C},
    {0xCF3, 0xCF3},     {0xD00, 0xD00},     {0xD3B, 0xD3C},     {0xD81, 0xD81},
    {0xEBA, 0xEBA},     {0xECE, 0xECE},     {0x1715, 0x1715},   {0x180F, 0x180F},
    {0x1ABF, 0x1ACE},   {0x1CF7, 0x1CF7},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},
    {0xA8FF, 0xA8FF},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x11073, 0x11074},
    {0x110C2, 0x110C2}, {0x11145, 0x11146}, {0x111C9, 0x111C9}, {0x111CE, 0x111CF},
    {0x11241, 0x11241}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x1182C, 0x1183A},
    {0x11930, 0x11935}, {0x11937, 0x11938}, {0x1193B, 0x1193E}, {0x11940, 0x11940},
    {0x11942, 0x11943}, {0x119D1, 0x119D7}, {0x119DA, 0x119E0}, {0x119E4, 0x119E4},
    {0x11A01, 0x11A0A}, {0x11A33, 0x11A39}, {0x11A3B, 0x11A3E}, {0x11A47, 0x11A47},
    {0x11A51, 0x11A5B}, {0x11A8A, 0x11A99}, {0x11D31, 0x11D36}, {0x11D3A, 0x11D3A},
    {0x11D3C, 0x11D3D}, {0x11D3F, 0x11D45}, {0x11D47, 0x11D47}, {0x11D8A, 0x11D8E},
    {0x11D90, 0x11D91}, {0x11D93, 0x11D97}, {0x11EF3, 0x11EF6}, {0x11F00, 0x11F01},
    {0x11F03, 0x11F03}, {0x11F34, 0x11F3A}, {0x11F3E, 0x11F42}, {0x13440, 0x13440},
    {0x13447, 0x13455}, {0x16F4F, 0x16F4F}, {0x16F7F, 0x16F87}, {0x16FE4, 0x16FE4},
    {0x16FF0, 0x16FF1}, {0x1CF00, 0x1CF2D}, {0x1CF30, 0x1CF46}, {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
}};

// Characters that it does not decompose:
constexpr std::array<Range, 10> kLaterDecompositions{{
    {0x32FF, 0x32FF},
    {0xA7F2, 0xA7F4},
    {0xAB69, 0xAB69},
    {0x10781, 0x10785},
    {0x10787, 0x107B0},
    {0x107B2, 0x107BA},
    {0x11938, 0x11938},
    {0x1E030, 0x1E06D},
    {0x1F16C, 0x1F16C},
    {0x1FBF0, 0x1FBF9},
}};

template <std::size_t Count>
bool is_in(const std::array<Range, Count>& ranges, utf8proc_int32_t code_point) {
  const auto* range =
      std::lower_bound(ranges.begin(), ranges.end(), code_point,
                       [](const Range& r, utf8proc_int32_t c) { return r.last < c; });
  return range != ranges.end() && range->first <= code_point;
}

utf8proc_int32_t first_code_point(std::string_view text) {
  utf8proc_int32_t code_point = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  return code_point;
}

int options_of(NormalForm form) {
  switch (form) {
    case NormalForm::C:
      return UTF8PROC_COMPOSE;
    case NormalForm::D:
      return UTF8PROC_DECOMPOSE;
    case NormalForm::KC:
      return UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case NormalForm::KD:
      return UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  }
  return 0;
}

std::string normalize(std::string_view text, NormalForm form) {
  if (text.empty()) return {};
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &raw,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | options_of(form)));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> normalized(raw, &std::free);
  if (bytes < 0) fail("a text cannot be normalized: {}", utf8proc_errmsg(bytes));
  return {reinterpret_cast<const char*>(raw), static_cast<std::size_t>(bytes)};
}

}  // namespace

std::string_view first_character(std::string_view text) {
  return text.substr(0, utf8_step(text).bytes);
}

std::string_view last_character(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

std::string_view first_cluster(std::string_view text) {
  std::size_t end = first_character(text).size();
  utf8proc_int32_t before = first_code_point(text);
  utf8proc_int32_t state = 0;
  while (end < text.size()) {
    const std::string_view rest = text.substr(end);
    const utf8proc_int32_t next = first_code_point(rest);
    if (utf8proc_grapheme_break_stateful(before, next, &state)) break;
    end += first_character(rest).size();
    before = next;
  }
  return text.substr(0, end);
}

bool begins_with_space(std::string_view text) {
  const utf8proc_int32_t code_point = first_code_point(text);
  if ((code_point >= 0x09 && code_point <= 0x0D) || code_point == 0x85) return true;
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return true;
    default:
      return false;
  }
}

bool begins_with_word(std::string_view text) {
  const utf8proc_int32_t code_point = first_code_point(text);
  if (code_point == 0x200C || code_point == 0x200D) return true;
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    case UTF8PROC_CATEGORY_SO:
      return (code_point >= 0x24B6 && code_point <= 0x24E9) ||
             (code_point >= 0x1F130 && code_point <= 0x1F149) ||
             (code_point >= 0x1F150 && code_point <= 0x1F169) ||
             (code_point >= 0x1F170 && code_point <= 0x1F189);
    default:
      return false;
  }
}

bool begins_with_accent(std::string_view text) {
  const utf8proc_int32_t code_point = first_code_point(text);
  if (code_point == 0x1CF2 || code_point == 0x1CF3) return true;  // were marks, are letters
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return !is_in(kLaterMarks, code_point);
    default:
      return false;
  }
}

std::string to_normal_form(std::string_view text, NormalForm form) {
  if (form == NormalForm::C) return normalize(text, form);
  std::string normalized;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = utf8_step(text.substr(at)).bytes;
    // All of them have three bytes or four.
    if (bytes > 2 && is_in(kLaterDecompositions, first_code_point(text.substr(at)))) {
      normalized += normalize(text.substr(done, at - done), form);
      normalized += text.substr(at, bytes);
      done = at + bytes;
    }
    at += bytes;
  }
  return normalized += normalize(text.substr(done), form);
}

std::string to_lower_case(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  while (!text.empty()) {
    const utf8proc_int32_t code_point = first_code_point(text);
    append_utf8(lower, static_cast<char32_t>(utf8proc_tolower(code_point)));
    if (code_point == 0x130) append_utf8(lower, 0x307);  // "İ", the one that becomes two
    text.remove_prefix(first_character(text).size());
  }
  return lower;
}

}  // namespace initrt
