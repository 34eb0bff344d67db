#include "runtime/text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "runtime/text/byte_level.h"
#include "runtime/text/utf8.h"
#include "tests/runtime/text/small_tokenizer.h"

namespace initrt {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

Words split(const json& pre_tokenizer, std::string_view text) {
  Words words;
  PreTokenizer(JsonNode(pre_tokenizer, "test")).split(text, 1, [&](std::string_view word) {
    words.emplace_back(word);
  });
  return words;
}

json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"use_regex", use_regex}};
}

json regex_split(const char* pattern, const char* behavior, bool invert = false) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", behavior},
          {"invert", invert}};
}

json sequence(const json& parts) { return {{"type", "Sequence"}, {"pretokenizers", parts}}; }

TEST(PreTokenizer, WithoutOneTheTextIsOneWord) {
  Words words;
  PreTokenizer(std::nullopt).split("a b", 1, [&](std::string_view word) {
    words.emplace_back(word);
  });
  EXPECT_EQ(words, Words{"a b"});
}

TEST(PreTokenizer, ByteLevelCutsAsGpt2) {
  EXPECT_EQ(split(byte_level(false, true), "I'll pay 15$  now\n"),
            (Words{"I", "'ll", "Ġpay", "Ġ15", "$", "Ġ", "Ġnow", "Ċ"}));
  EXPECT_EQ(split(byte_level(false, true), "DON'T"), (Words{"DON", "'", "T"}));
  EXPECT_EQ(split(byte_level(false, false), "a é"), Words{"aĠÃ©"});
}

TEST(PreTokenizer, APrefixSpaceGoesBeforeEachPieceThatHasNone) {
  EXPECT_EQ(split(byte_level(true, true), "a"), Words{"Ġa"});
  EXPECT_EQ(split(byte_level(true, true), " a"), Words{"Ġa"});
  EXPECT_EQ(
      split(sequence({{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true, true)}),
            "a1 b23"),
      (Words{"Ġa", "Ġ1", "Ġb", "Ġ2", "Ġ3"}));
}

TEST(PreTokenizer, DigitsAreCutOneByOneOrTogether) {
  json digits = {{"type", "Digits"}, {"individual_digits", true}};
  EXPECT_EQ(split(digits, "a12½Ⅷ b"), (Words{"a", "1", "2", "½", "Ⅷ", " b"}));
  digits["individual_digits"] = false;
  EXPECT_EQ(split(digits, "a12½Ⅷ b"), (Words{"a", "12½Ⅷ", " b"}));
}

TEST(PreTokenizer, AStepSeesNothingBeyondItsPiece) {
  // As one text, "  1" would leave one space to the left; cut at the digit, both stay together.
  const json steps = {{{"type", "Digits"}, {"individual_digits", true}}, byte_level(false, true)};
  EXPECT_EQ(split(sequence(steps), "a  1"), (Words{"a", "ĠĠ", "1"}));
}

TEST(PreTokenizer, SplitHasFiveBehaviors) {
  EXPECT_EQ(split(regex_split("b+", "Removed"), "abba"), (Words{"a", "a"}));
  EXPECT_EQ(split(regex_split("b+", "Isolated"), "abba"), (Words{"a", "bb", "a"}));
  EXPECT_EQ(split(regex_split("b", "MergedWithPrevious"), "abba"), (Words{"ab", "b", "a"}));
  EXPECT_EQ(split(regex_split("b", "MergedWithNext"), "abba"), (Words{"a", "b", "ba"}));
  EXPECT_EQ(split(regex_split("b", "Contiguous"), "abba"), (Words{"a", "bb", "a"}));
  EXPECT_EQ(split(regex_split("b+", "Removed", true), "abba"), Words{"bb"});
}

TEST(PreTokenizer, APlainStringIsNoPattern) {
  json pre = regex_split("", "Isolated");
  pre["pattern"] = {{"String", "."}};
  EXPECT_EQ(split(pre, "a.b"), (Words{"a", ".", "b"}));
}

TEST(PreTokenizer, EmptyMatchesCutBetweenCharacters) {
  EXPECT_EQ(split(regex_split("(?=世)", "Isolated"), "世世a世"), (Words{"世", "世a", "世"}));
  EXPECT_EQ(split(regex_split("b*", "Isolated"), "aéb"), (Words{"a", "é", "b"}));
}

TEST(PreTokenizer, PatternsMeanWhatTheyMeanInRuby) {
  // Lines, not the whole text; \s is White_Space: with U+0085, without U+180E.
  EXPECT_EQ(split(regex_split("$", "Isolated"), "a\nb\n"), (Words{"a", "\nb", "\n"}));
  EXPECT_EQ(split(regex_split("\\s", "Isolated"), "a\u0085b\u180ec"),
            (Words{"a", "\u0085", "b\u180ec"}));
  EXPECT_EQ(split(regex_split("[^\\s\\]]+", "Removed"), "ab ]c"), Words{" ]"});
  EXPECT_EQ(split(regex_split("[]a]", "Isolated"), "x]a"), (Words{"x", "]", "a"}));
  EXPECT_EQ(split(regex_split("\\S+", "Removed"), "a b"), Words{" "});
}

TEST(PreTokenizer, ASetInsideASetIsPartOfIt) {
  EXPECT_EQ(split(regex_split("[^(\\s|[.,\\]])]+", "Removed"), "ab ,]c("), (Words{" ,]", "("}));
}

TEST(PreTokenizer, APlusBehindAnIntervalRepeatsIt) {
  EXPECT_EQ(split(regex_split("\\p{N}{1,3}+b", "Isolated"), "a1234b"), (Words{"a", "1234b"}));
  EXPECT_EQ(split(regex_split("[0-9]{2}+", "Isolated"), "12345"), (Words{"1234", "5"}));
}

TEST(PreTokenizer, PunctuationIsAsciisAndUnicode8s) {
  json punctuation = {{"type", "Punctuation"}};
  EXPECT_EQ(split(punctuation, "a+!b\u00bf\u2e5d$"),
            (Words{"a", "+", "!", "b", "\u00bf", "\u2e5d", "$"}));
  punctuation["behavior"] = "Contiguous";
  EXPECT_EQ(split(punctuation, "a+!b"), (Words{"a", "+!", "b"}));
}

TEST(PreTokenizer, WhitespaceLeavesWordsAndSymbols) {
  EXPECT_EQ(split({{"type", "Whitespace"}}, " a_1\u0301 +-\u3000\U00010d40"),
            (Words{"a_1\u0301", "+-", "\U00010d40"}));
  EXPECT_EQ(split({{"type", "WhitespaceSplit"}}, " a+ b\u0085\n"), (Words{"a+", "b"}));
  EXPECT_EQ(split({{"type", "CharDelimiterSplit"}, {"delimiter", "-"}}, "a--b"), (Words{"a", "b"}));
}

TEST(PreTokenizer, LettersAndNumbersAreThoseOfUnicode16) {
  EXPECT_EQ(split(regex_split("\\p{L}+", "Isolated"), "-a\U000323af\U0001e5d0-"),
            (Words{"-", "a\U000323af\U0001e5d0", "-"}));
  EXPECT_EQ(split(regex_split("[^\\p{N}]+", "Isolated"), "a\U00010d40"),
            (Words{"a", "\U00010d40"}));
}

TEST(PreTokenizer, WordsHaveTheBoundariesOfTheReference) {
  EXPECT_EQ(split(regex_split("\\w+", "Isolated"), "a_1\u0301\u00b2 -\u200d"),
            (Words{"a_1\u0301\u00b2", " -\u200d"}));
  EXPECT_EQ(split(regex_split("[\\w-]+", "Isolated"), "a-b c"), (Words{"a-b", " ", "c"}));
  EXPECT_EQ(split(regex_split("\\W", "Isolated"), "a-b"), (Words{"a", "-", "b"}));
  EXPECT_EQ(split(regex_split("b\\b", "Isolated"), "bb b\u00e9"), (Words{"b", "b", " b\u00e9"}));
  EXPECT_EQ(split(regex_split("b\\B", "Isolated"), "bb b\u00e9"),
            (Words{"b", "b ", "b", "\u00e9"}));
  EXPECT_EQ(split(regex_split("\\bb", "Isolated"), "bb b"), (Words{"b", "b ", "b"}));
  // Numbers in threes from their end, as Tiny Aya's.
  EXPECT_EQ(split(regex_split("\\d{1,3}(?=(?:\\d{3})*\\b)", "Isolated"), "1234567-12a"),
            (Words{"1", "234", "567", "-12a"}));
}

// As many as tokenizers 0.23 has, whose regular expressions are Oniguruma's.
TEST(PreTokenizer, WordCharactersAreAsManyAsTheReferences) {
  std::string all;
  for (std::uint32_t code = 0x21; code < 0x110000; ++code) {
    if (code < 0xd800 || code >= 0xe000) append_utf8(all, code), all += '\n';
  }
  const Words words = split(regex_split("[^\\w]+", "Removed"), all);
  EXPECT_EQ(words.size(), 144'671u);
}

TEST(PreTokenizer, WhatRubyAndPcre2ReadDifferentlyIsAnError) {
  for (const char* pattern :
       {"\\h", "[\\W]", "[\\b]", "[a&&b]", "[a[^b]]", "[[:alpha:]]", "\\p{^L}", "(a){1,3}+",
        "(?m:.)", "(?m).", "(*UTF)a", "(?R)", "a\\"}) {
    EXPECT_THAT(error_of([&] { split(regex_split(pattern, "Isolated"), "a"); }),
                testing::AllOf(testing::HasSubstr("test: pattern.Regex: "),
                               testing::HasSubstr("is not supported")))
        << pattern;
  }
}

TEST(PreTokenizer, APatternThatIsNotValidIsAnError) {
  for (const char* pattern : {"(", "a{2,1}", "[b-a]", "\\p{Nonsense}", "\xFF"}) {
    EXPECT_THAT(error_of([&] { split(regex_split(pattern, "Isolated"), "a"); }),
                testing::HasSubstr("test: pattern.Regex: the regular expression"))
        << pattern;
  }
}

TEST(PreTokenizer, APatternThatNeverEndsIsAnError) {
  EXPECT_THAT(error_of([] { split(regex_split("(a|a)*[^a]", "Isolated"), std::string(64, 'a')); }),
              testing::HasSubstr("the regular expression failed at byte 0 of a text"));
}

TEST(PreTokenizer, NestingAndStepsAreLimited) {
  json nested = byte_level(false, true);
  for (int depth = 0; depth < 10; ++depth) nested = sequence(json::array({nested}));
  EXPECT_THAT(error_of([&] { split(nested, "a"); }), testing::HasSubstr("nested more than 8 deep"));
  json steps = json::array();
  for (int i = 0; i < 33; ++i) steps.push_back({{"type", "Digits"}});
  EXPECT_THAT(error_of([&] { split(sequence(steps), "a"); }),
              testing::HasSubstr("pretokenizers[32]: more than 32 steps"));
}

}  // namespace
}  // namespace initrt
