#include "runtime/text/decoder.h"

#include <gtest/gtest.h>

#include "tests/runtime/text/small_tokenizer.h"

namespace initrt {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string decode(const json& decoder, std::string_view token) {
  return Decoder(JsonNode(decoder, "test"))(token);
}

json sequence(const json& parts) { return {{"type", "Sequence"}, {"decoders", parts}}; }

json replace(const char* pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", {{"String", pattern}}}, {"content", content}};
}

json strip(int start, int stop) {
  return {{"type", "Strip"}, {"content", " "}, {"start", start}, {"stop", stop}};
}

const json kFuse = {{"type", "Fuse"}};
const json kByteFallback = {{"type", "ByteFallback"}};

TEST(Decoder, ByteLevelGivesTheBytes) {
  EXPECT_EQ(decode({{"type", "ByteLevel"}}, "ĠaÃ"), " a\xC3");
  EXPECT_EQ(decode({{"type", "ByteLevel"}}, "a b"), "a b");
}

TEST(Decoder, MetaspaceGivesSpaces) {
  EXPECT_EQ(decode({{"type", "Metaspace"}, {"replacement", "\u2581"}}, "\u2581a\u2581"), " a ");
}

TEST(Decoder, LlamasTokensKeepTheSpaceThatAWholeTextWouldLose) {
  const json llama = sequence({replace("\u2581", " "), kByteFallback, kFuse, strip(1, 0)});
  EXPECT_EQ(decode(llama, "\u2581\u2581a"), "  a");
  EXPECT_EQ(decode(llama, "<0xE4>"), "\xE4");
  EXPECT_EQ(decode(llama, "<0xeA>"), "\xEA");
  for (const char* text : {"<0xE>", "<0xEG>", "<0x E>", "x0xE4>", "<0xE4x"}) {
    EXPECT_EQ(decode(llama, text), text);
  }
}

TEST(Decoder, StripBeforeFuseStripsEachToken) {
  EXPECT_EQ(decode(strip(1, 2), "  a   "), " a ");
  EXPECT_EQ(decode(strip(3, 0), " a"), "a");
  EXPECT_EQ(decode(strip(1, 1), " "), "");
}

TEST(Decoder, WhatNeedsAWholeTextIsAnError) {
  const auto error = [](const json& decoder) { return error_of([&] { decode(decoder, "a"); }); };
  EXPECT_EQ(
      error(sequence({kFuse, replace("a", "b")})),
      "test: decoders[1]: \"Replace\" after \"Fuse\" or \"ByteLevel\" needs a whole text, and "
      "tokens come one by one");
  EXPECT_THAT(error(sequence({{{"type", "ByteLevel"}}, kByteFallback})),
              HasSubstr("\"ByteFallback\" after"));
  EXPECT_THAT(error(sequence({kFuse, strip(1, 1)})), HasSubstr("decoders[1].stop must be 0"));
}

TEST(Decoder, MalformedOnesAreErrorsNamingTheKey) {
  const auto error = [](const json& decoder) { return error_of([&] { decode(decoder, "a"); }); };
  EXPECT_THAT(error({{"type", "CTC"}}), HasSubstr("type must be a decoder known here"));
  EXPECT_THAT(error({{"type", "Metaspace"}}), HasSubstr("has no \"replacement\""));
  EXPECT_THAT(error({{"type", "Metaspace"}, {"replacement", "ab"}}),
              HasSubstr("replacement must be one character, but is \"ab\""));
  EXPECT_THAT(error(strip(-1, 0)), HasSubstr("start must be a count"));
  json nested = kFuse;
  for (int depth = 0; depth < 10; ++depth) nested = sequence(json::array({nested}));
  EXPECT_THAT(error(nested), HasSubstr("nested more than 8 deep"));
  EXPECT_THAT(error(sequence(json(33, kByteFallback))), HasSubstr("more than 32 steps"));
  EXPECT_THAT(error(sequence(json(33, strip(1, 0)))), HasSubstr("more than 32 steps"));
}

TEST(Decoder, ATokenThatGrowsWithoutMeasureIsAnError) {
  json steps = json::array();
  for (int i = 0; i < 24; ++i) steps.push_back(replace("a", "aa"));
  EXPECT_THAT(error_of([&] { decode(sequence(steps), "a"); }),
              HasSubstr("becomes one of more than 1048576"));
}

}  // namespace
}  // namespace initrt
