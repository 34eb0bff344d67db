#include "runtime/text/utf8.h"

#include <gtest/gtest.h>

#include "runtime/text/tokenizer.h"

namespace initrt {
namespace {

TEST(Utf8, WhatIsNotUtf8IsReplacedByMaximalSubparts) {
  // As bytes.decode("utf-8", "replace") in Python.
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"aé世😀", "aé世😀"},
      {"a\x80z", "a\uFFFDz"},
      {"\xC0\xAF", "\uFFFD\uFFFD"},
      {"\xC3", "\uFFFD"},
      {"\xC3(", "\uFFFD("},
      {"\xE4\xB8", "\uFFFD"},
      {"\xE4\xB8z", "\uFFFDz"},
      {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xF0\x9F\x98", "\uFFFD"},
      {"\xF0\x9F\x98\xF0\x9F\x98\x80", "\uFFFD😀"},
      {"\xF0\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xF5\xFF", "\uFFFD\uFFFD"},
      {"\xF4\x8F\xBF\xBF", "\U0010FFFF"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(to_valid_utf8(bytes), text);
}

TEST(Utf8, EveryCodePointIsReadAsItIsWritten) {
  for (char32_t code_point = 0; code_point < 0x110000; ++code_point) {
    std::string text;
    append_utf8(text, code_point);
    const Utf8Step step = utf8_step(text);
    const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
    ASSERT_EQ(step.kind == Utf8Step::Kind::Valid, !surrogate) << static_cast<unsigned>(code_point);
    if (!surrogate) {
      ASSERT_EQ(step.bytes, text.size());
    }
  }
}

TEST(Utf8Stream, NeverGivesOutHalfACharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0"), "a");
  EXPECT_EQ(stream.push("\x9F\x98"), "");
  EXPECT_EQ(stream.push("\x80\xE4"), "😀");
  EXPECT_EQ(stream.push("\xB8\x96z"), "世z");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, WhatCannotBecomeACharacterComesOutAtOnce) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("\xFF"), "\uFFFD");
  EXPECT_EQ(stream.push("\xE4"), "");
  EXPECT_EQ(stream.push("a"), "\uFFFDa");
}

TEST(Utf8Stream, AnIncompleteEndIsReplacedOnce) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("\xF0\x9F\x98"), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, AnyCutOfTheBytesGivesTheSameText) {
  const std::string bytes = "x\xE4\xB8\x96\xFF\xF0\x9F\x98\x80\xC3\xED\xA0\x80y\xE4\xB8";
  const std::string whole = to_valid_utf8(bytes);
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      Utf8Stream stream;
      std::string text = stream.push(bytes.substr(0, first));
      text += stream.push(bytes.substr(first, second - first));
      text += stream.push(bytes.substr(second));
      EXPECT_EQ(text + stream.finish(), whole);
    }
  }
}

}  // namespace
}  // namespace initrt
