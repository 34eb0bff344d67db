// The sets of characters, as Unicode 14 has them and what the references' tables have beside them.
#include "runtime/text/character_classes.h"

#include <fmt/format.h>

#include <array>

namespace initrt {
namespace {

struct Addition {
  std::string_view category;
  std::string_view characters;
};

// What Unicode 15, 15.1 and 16 added (UnicodeData.txt). Debian 12's PCRE2 10.42 knows Unicode 14;
// a newer PCRE2 just has them twice.
constexpr std::array<Addition, 13> kAdditions{{
    {"Cf", R"(\x{13439}-\x{1343F})"},
    {"Ll", R"(\x{1C8A}\x{A7CD}\x{A7DB}\x{10D70}-\x{10D85}\x{1DF25}-\x{1DF2A})"},
    {"Lm", R"(\x{10D4E}\x{10D6F}\x{16D40}-\x{16D42}\x{16D6B}\x{16D6C}\x{1E030}-\x{1E06D})"
           R"(\x{1E4EB})"},
    {"Lo", R"(\x{105C0}-\x{105F3}\x{10D4A}-\x{10D4D}\x{10D4F}\x{10EC2}-\x{10EC4})"
           R"(\x{1123F}\x{11240}\x{11380}-\x{11389}\x{1138B}\x{1138E}\x{11390}-\x{113B5})"
           R"(\x{113B7}\x{113D1}\x{113D3}\x{11BC0}-\x{11BE0}\x{11F02}\x{11F04}-\x{11F10})"
           R"(\x{11F12}-\x{11F33}\x{1342F}\x{13441}-\x{13446}\x{13460}-\x{143FA})"
           R"(\x{16100}-\x{1611D}\x{16D43}-\x{16D6A}\x{18CFF}\x{1B132}\x{1B155})"
           R"(\x{1E4D0}-\x{1E4EA}\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739}\x{2EBF0}-\x{2EE5D})"
           R"(\x{31350}-\x{323AF})"},
    {"Lu", R"(\x{1C89}\x{A7CB}\x{A7CC}\x{A7DA}\x{A7DC}\x{10D50}-\x{10D65})"},
    {"Mc", R"(\x{CF3}\x{113B8}-\x{113BA}\x{113C2}\x{113C5}\x{113C7}-\x{113CA}\x{113CC}\x{113CD})"
           R"(\x{113CF}\x{1171E}\x{11F03}\x{11F34}\x{11F35}\x{11F3E}\x{11F3F}\x{11F41})"
           R"(\x{1612A}-\x{1612C})"},
    {"Mn", R"(\x{897}\x{ECE}\x{10D69}-\x{10D6D}\x{10EFC}-\x{10EFF}\x{11241}\x{113BB}-\x{113C0})"
           R"(\x{113CE}\x{113D0}\x{113D2}\x{113E1}\x{113E2}\x{11F00}\x{11F01}\x{11F36}-\x{11F3A})"
           R"(\x{11F40}\x{11F42}\x{11F5A}\x{13440}\x{13447}-\x{13455}\x{1611E}-\x{16129})"
           R"(\x{1612D}-\x{1612F}\x{1E08F}\x{1E4EC}-\x{1E4EF}\x{1E5EE}\x{1E5EF})"},
    {"Nd", R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59})"
           R"(\x{16130}-\x{16139}\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1E4F0}-\x{1E4F9})"
           R"(\x{1E5F1}-\x{1E5FA})"},
    {"No", R"(\x{1D2C0}-\x{1D2D3})"},
    {"Pd", R"(\x{10D6E})"},
    {"Po", R"(\x{1B4E}\x{1B4F}\x{1B7F}\x{113D4}\x{113D5}\x{113D7}\x{113D8}\x{11B00}-\x{11B09})"
           R"(\x{11BE1}\x{11F43}-\x{11F4F}\x{16D6D}-\x{16D6F}\x{1E5FF})"},
    {"Sm", R"(\x{10D8E}\x{10D8F})"},
    {"So", R"(\x{2427}-\x{2429}\x{2FFC}-\x{2FFF}\x{31E4}\x{31E5}\x{31EF}\x{1CC00}-\x{1CCEF})"
           R"(\x{1CD00}-\x{1CEB3}\x{1F6DC}\x{1F774}-\x{1F776}\x{1F77B}-\x{1F77F}\x{1F7D9})"
           R"(\x{1F8B2}-\x{1F8BB}\x{1F8C0}\x{1F8C1}\x{1FA75}-\x{1FA77}\x{1FA87}-\x{1FA89})"
           R"(\x{1FA8F}\x{1FAAD}-\x{1FAAF}\x{1FABB}-\x{1FABF}\x{1FAC6}\x{1FACE}\x{1FACF})"
           R"(\x{1FADA}-\x{1FADC}\x{1FADF}\x{1FAE8}\x{1FAE9}\x{1FAF7}\x{1FAF8})"
           R"(\x{1FBCB}-\x{1FBEF})"},
}};

// Punctuation of Unicode 14 that the reference's own tables, which are those of Unicode 8, lack.
constexpr std::string_view kLaterPunctuation =
    R"(\x{61D}\x{9FD}\x{A76}\x{C77}\x{C84}\x{1B7D}\x{1B7E}\x{2E43}-\x{2E4F})"
    R"(\x{2E52}-\x{2E5D}\x{10EAD}\x{10F55}-\x{10F59}\x{10F86}-\x{10F89}\x{1144B}-\x{1144F})"
    R"(\x{1145A}\x{1145B}\x{1145D}\x{11660}-\x{1166C}\x{116B9}\x{1183B}\x{11944}-\x{11946})"
    R"(\x{119E2}\x{11A3F}-\x{11A46}\x{11A9A}-\x{11A9C}\x{11A9E}-\x{11AA2})"
    R"(\x{11C41}-\x{11C45}\x{11C70}\x{11C71}\x{11EF7}\x{11EF8}\x{11FFF}\x{12FF1}\x{12FF2})"
    R"(\x{16E97}-\x{16E9A}\x{16FE2}\x{1E95E}\x{1E95F})";

constexpr std::string_view kWordProperties = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";

// Word characters that Unicode 15, 15.1 and 16 added.
constexpr std::string_view kNewWordCharacters =
    R"(\x{897}\x{CF3}\x{ECE}\x{1C89}\x{1C8A}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC})"
    R"(\x{105C0}-\x{105F3}\x{10D40}-\x{10D65}\x{10D69}-\x{10D6D}\x{10D6F}-\x{10D85})"
    R"(\x{10EC2}-\x{10EC4}\x{10EFC}-\x{10EFF}\x{1123F}-\x{11241}\x{11380}-\x{11389})"
    R"(\x{1138B}\x{1138E}\x{11390}-\x{113B5}\x{113B7}-\x{113C0}\x{113C2}\x{113C5})"
    R"(\x{113C7}-\x{113CA}\x{113CC}-\x{113D3}\x{113E1}\x{113E2}\x{116D0}-\x{116E3})"
    R"(\x{11BC0}-\x{11BE0}\x{11BF0}-\x{11BF9}\x{11F00}-\x{11F10}\x{11F12}-\x{11F3A})"
    R"(\x{11F3E}-\x{11F42}\x{11F50}-\x{11F5A}\x{1342F}\x{13440}-\x{13455})"
    R"(\x{13460}-\x{143FA}\x{16100}-\x{16139}\x{16D40}-\x{16D6C}\x{16D70}-\x{16D79})"
    R"(\x{18CFF}\x{1B132}\x{1B155}\x{1CCF0}-\x{1CCF9}\x{1DF25}-\x{1DF2A})"
    R"(\x{1E030}-\x{1E06D}\x{1E08F}\x{1E4D0}-\x{1E4F9}\x{1E5D0}-\x{1E5FA}\x{2B739})"
    R"(\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";

}  // namespace

std::string property_set(std::string_view name) {
  std::string set = fmt::format("\\p{{{}}}", name);
  for (const Addition& addition : kAdditions) {
    if (addition.category.starts_with(name)) set += addition.characters;
  }
  return set;
}

std::string punctuation_pattern() {
  return fmt::format("(?![{}])[\\p{{P}}$+<=>^`|~\\x{{166D}}\\x{{111C9}}]", kLaterPunctuation);
}

std::string word_set() {
  // Superscripts and fractions of Latin-1 are word characters of its own.
  return std::string(kWordProperties) + R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})" +
         std::string(kNewWordCharacters);
}

std::string word_or_symbols_pattern() {
  const std::string word =
      std::string(kWordProperties) + "\\p{Join_Control}" + std::string(kNewWordCharacters);
  return fmt::format("[{0}]+|[^{0}\\p{{White_Space}}]+", word);
}

}  // namespace initrt
