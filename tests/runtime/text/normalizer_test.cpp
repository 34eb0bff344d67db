#include "runtime/text/normalizer.h"

#include <gtest/gtest.h>

#include "tests/runtime/text/small_tokenizer.h"

namespace initrt {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string normalize(const json& normalizer, std::string_view text, std::size_t front = 0) {
  return Normalizer(JsonNode(normalizer, "test"))(text, front);
}

/// How many of the result's first bytes stand for the first character.
std::size_t front_of(const json& normalizer, std::string_view text) {
  std::size_t front = 1;
  (void)Normalizer(JsonNode(normalizer, "test"))(text, front);
  return front;
}

json type(const char* name) { return {{"type", name}}; }

json replace(const char* kind, const char* pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

json sequence(const json& parts) { return {{"type", "Sequence"}, {"normalizers", parts}}; }

json strip(bool left, bool right) {
  return {{"type", "Strip"}, {"strip_left", left}, {"strip_right", right}};
}

TEST(Normalizer, WithoutOneTextStaysAsItIs) {
  std::size_t front = 1;
  EXPECT_EQ(Normalizer(std::nullopt)(" e\u0301", front), " e\u0301");
  EXPECT_EQ(front, 1u);
}

TEST(Normalizer, HasFourNormalForms) {
  EXPECT_EQ(normalize(type("NFC"), "e\u0301\uFB01"), "\u00e9\uFB01");
  EXPECT_EQ(normalize(type("NFD"), "\u00e9\uFB01"), "e\u0301\uFB01");
  EXPECT_EQ(normalize(type("NFKC"), "e\u0301\uFB01"), "\u00e9fi");
  EXPECT_EQ(normalize(type("NFKD"), "\u00e9\uFB01"), "e\u0301fi");
  // Newer than the reference's tables.
  EXPECT_EQ(normalize(type("NFKC"), "\u32FF\uFB01\U0001FBF0"), "\u32FFfi\U0001FBF0");
}

TEST(Normalizer, ReplacesTextsAndPatterns) {
  EXPECT_EQ(normalize(replace("String", ".", "-"), "a.b."), "a-b-");
  EXPECT_EQ(normalize(replace("Regex", " {2,}", "_"), "a   b c"), "a_b c");
  EXPECT_EQ(normalize(replace("String", "a", "x"), ""), "");
}

TEST(Normalizer, PrependsToWhatIsNotEmpty) {
  const json prepend = {{"type", "Prepend"}, {"prepend", "\u2581"}};
  EXPECT_EQ(normalize(prepend, "a"), "\u2581a");
  EXPECT_EQ(normalize(prepend, ""), "");
}

TEST(Normalizer, StripsSpacesAccentsAndCase) {
  EXPECT_EQ(normalize(strip(true, false), " \u3000a \n"), "a \n");
  EXPECT_EQ(normalize(strip(false, true), " \u3000a \n"), " \u3000a");
  EXPECT_EQ(normalize(type("StripAccents"), "e\u0301\u0302a"), "ea");
  EXPECT_EQ(normalize(type("Lowercase"), "\u0130ÀB"), "i\u0307àb");
}

TEST(Normalizer, StepsAreTakenInOrder) {
  EXPECT_EQ(normalize(sequence({type("NFD"), type("StripAccents"), type("Lowercase")}), "ÀÉ"),
            "ae");
}

TEST(Normalizer, KnowsWhatIsLeftOfTheFirstCharacter) {
  EXPECT_EQ(front_of(replace("String", "a", "xyz"), "ab"), 3u);
  EXPECT_EQ(front_of(replace("String", "a", ""), "ab"), 0u);
  // As the reference counts, several characters become the last of them.
  EXPECT_EQ(front_of(replace("String", "ab", "x"), "abc"), 0u);
  EXPECT_EQ(front_of(strip(true, false), " a"), 0u);
  EXPECT_EQ(front_of({{"type", "Prepend"}, {"prepend", "xy"}}, "a"), 3u);
}

TEST(Normalizer, ATextThatGrowsWithoutMeasureIsAnError) {
  json doubling = json::array();
  for (int i = 0; i < 20; ++i) doubling.push_back(replace("String", "a", "aa"));
  EXPECT_THAT(error_of([&] { normalize(sequence(doubling), "aaaa"); }),
              HasSubstr("a text of 1024 bytes becomes one of more than 1152"));
  const json long_content = replace("String", "a", std::string(1000, 'b').c_str());
  EXPECT_THAT(error_of([&] { normalize(long_content, "aaaa"); }),
              HasSubstr("test: pattern.String: a text of 4 bytes becomes one of more than 1152"));
}

TEST(Normalizer, NestingAndStepsAreLimited) {
  json nested = type("NFC");
  for (int depth = 0; depth < 10; ++depth) nested = sequence(json::array({nested}));
  EXPECT_THAT(error_of([&] { normalize(nested, "a"); }), HasSubstr("nested more than 8 deep"));
  const json steps = json(33, type("NFC"));
  EXPECT_THAT(error_of([&] { normalize(sequence(steps), "a"); }),
              HasSubstr("normalizers[32]: more than 32 steps"));
}

TEST(Normalizer, MalformedOnesAreErrorsNamingTheKey) {
  const auto error = [](const json& normalizer) {
    return error_of([&] { normalize(normalizer, "a"); });
  };
  EXPECT_THAT(error(type("Prepend")), HasSubstr("has no \"prepend\""));
  EXPECT_THAT(error({{"type", "Prepend"}, {"prepend", "\xFF"}}), HasSubstr("must be UTF-8"));
  EXPECT_THAT(error(replace("Regexp", "a", "b")), HasSubstr("pattern has no \"String\""));
  EXPECT_THAT(error(type("Strip")), HasSubstr("has no \"strip_left\""));
  EXPECT_THAT(error(type("Precompiled")), HasSubstr("has no \"precompiled_charsmap\""));
  for (const char* text : {"AAA", "A A=", "AA==", "AAAA"}) {
    EXPECT_THAT(error({{"type", "Precompiled"}, {"precompiled_charsmap", text}}),
                HasSubstr("precompiled_charsmap"))
        << text;
  }
}

}  // namespace
}  // namespace initrt
