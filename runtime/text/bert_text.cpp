// The reference takes what a character is from Unicode 8; lists here are of what it knows otherwise
// than utf8proc.
#include "runtime/text/bert_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "runtime/text/characters.h"

namespace initrt {
namespace {

struct Range {
  char32_t first, last;
};

// Format characters (Cf).
constexpr std::array<Range, 17> kFormats{{{0xAD, 0xAD},
                                          {0x600, 0x605},
                                          {0x61C, 0x61C},
                                          {0x6DD, 0x6DD},
                                          {0x70F, 0x70F},
                                          {0x180E, 0x180E},
                                          {0x200B, 0x200F},
                                          {0x202A, 0x202E},
                                          {0x2060, 0x2064},
                                          {0x2066, 0x206F},
                                          {0xFEFF, 0xFEFF},
                                          {0xFFF9, 0xFFFB},
                                          {0x110BD, 0x110BD},
                                          {0x1BCA0, 0x1BCA3},
                                          {0x1D173, 0x1D17A},
                                          {0xE0001, 0xE0001},
                                          {0xE0020, 0xE007F}}};

constexpr std::array<Range, 7> kIdeographs{{{0x3400, 0x4DBF},
                                            {0x4E00, 0x9FFF},
                                            {0xF900, 0xFAFF},
                                            {0x20000, 0x2A6DF},
                                            {0x2A700, 0x2B81F},
                                            {0x2B920, 0x2CEAF},
                                            {0x2F800, 0x2FA1F}}};

// Marks without space of their own (Mn) that came later.
constexpr std::array<Range, 91> kLaterMarks{
    {{0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8E1},     {0x9FE, 0x9FE},
     {0xAFA, 0xAFF},     {0xB55, 0xB55},     {0xC04, 0xC04},     {0xC3C, 0xC3C},
     {0xD00, 0xD00},     {0xD3B, 0xD3C},     {0xD81, 0xD81},     {0xEBA, 0xEBA},
     {0xECE, 0xECE},     {0x180F, 0x180F},   {0x1885, 0x1886},   {0x1ABF, 0x1ACE},
     {0x1DF6, 0x1DFB},   {0xA82C, 0xA82C},   {0xA8C5, 0xA8C5},   {0xA8FF, 0xA8FF},
     {0xA9BD, 0xA9BD},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
     {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x11073, 0x11074},
     {0x110C2, 0x110C2}, {0x111C9, 0x111C9}, {0x111CF, 0x111CF}, {0x1123E, 0x1123E},
     {0x11241, 0x11241}, {0x1133B, 0x1133B}, {0x11438, 0x1143F}, {0x11442, 0x11444},
     {0x11446, 0x11446}, {0x1145E, 0x1145E}, {0x1182F, 0x11837}, {0x11839, 0x1183A},
     {0x1193B, 0x1193C}, {0x1193E, 0x1193E}, {0x11943, 0x11943}, {0x119D4, 0x119D7},
     {0x119DA, 0x119DB}, {0x119E0, 0x119E0}, {0x11A01, 0x11A0A}, {0x11A33, 0x11A38},
     {0x11A3B, 0x11A3E}, {0x11A47, 0x11A47}, {0x11A51, 0x11A56}, {0x11A59, 0x11A5B},
     {0x11A8A, 0x11A96}, {0x11A98, 0x11A99}, {0x11C30, 0x11C36}, {0x11C38, 0x11C3D},
     {0x11C3F, 0x11C3F}, {0x11C92, 0x11CA7}, {0x11CAA, 0x11CB0}, {0x11CB2, 0x11CB3},
     {0x11CB5, 0x11CB6}, {0x11D31, 0x11D36}, {0x11D3A, 0x11D3A}, {0x11D3C, 0x11D3D},
     {0x11D3F, 0x11D45}, {0x11D47, 0x11D47}, {0x11D90, 0x11D91}, {0x11D95, 0x11D95},
     {0x11D97, 0x11D97}, {0x11EF3, 0x11EF4}, {0x11F00, 0x11F01}, {0x11F36, 0x11F3A},
     {0x11F40, 0x11F40}, {0x11F42, 0x11F42}, {0x13440, 0x13440}, {0x13447, 0x13455},
     {0x16F4F, 0x16F4F}, {0x16FE4, 0x16FE4}, {0x1CF00, 0x1CF2D}, {0x1CF30, 0x1CF46},
     {0x1E000, 0x1E006}, {0x1E008, 0x1E018}, {0x1E01B, 0x1E021}, {0x1E023, 0x1E024},
     {0x1E026, 0x1E02A}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
     {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E944, 0x1E94A}}};

template <std::size_t Count>
bool is_in(const std::array<Range, Count>& ranges, char32_t c) {
  const auto* range = std::lower_bound(ranges.begin(), ranges.end(), c,
                                       [](const Range& r, char32_t x) { return r.last < x; });
  return range != ranges.end() && range->first <= c;
}

char32_t code_point(std::string_view character) {
  utf8proc_int32_t c = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(character.data()),
                   static_cast<utf8proc_ssize_t>(character.size()), &c);
  return static_cast<char32_t>(c);
}

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// Calls `each(character, code point)`.
template <class Each>
void for_each_character(std::string_view text, const Each& each) {
  while (!text.empty()) {
    const std::string_view character = first_character(text);
    text.remove_prefix(character.size());
    each(character, code_point(character));
  }
}

}  // namespace

std::string without_controls(std::string_view text) {
  std::string kept;
  for_each_character(text, [&](std::string_view character, char32_t c) {
    const bool line = c == '\t' || c == '\n' || c == '\r';
    const bool control = !line && (category(c) == UTF8PROC_CATEGORY_CC ||
                                   category(c) == UTF8PROC_CATEGORY_CO || is_in(kFormats, c));
    if (control || c == 0xFFFD) return;
    if (line || begins_with_space(character)) {
      kept += ' ';
    } else {
      kept += character;
    }
  });
  return kept;
}

std::string with_spaced_ideographs(std::string_view text) {
  std::string spaced;
  for_each_character(text, [&](std::string_view character, char32_t c) {
    const bool ideograph = is_in(kIdeographs, c);
    if (ideograph) spaced += ' ';
    spaced += character;
    if (ideograph) spaced += ' ';
  });
  return spaced;
}

std::string without_marks(std::string_view text) {
  std::string kept;
  for_each_character(text, [&](std::string_view character, char32_t c) {
    const bool mark =
        c == 0x1734 || (category(c) == UTF8PROC_CATEGORY_MN && !is_in(kLaterMarks, c));
    if (!mark) kept += character;
  });
  return kept;
}

}  // namespace initrt
