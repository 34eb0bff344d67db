#include "runtime/text/stop_strings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace initrt {
namespace {

using testing::ElementsAre;
using Pieces = std::vector<std::string>;

/// What each piece makes come out, and what the end does.
Pieces outputs(const Pieces& stops, const Pieces& pieces) {
  StopStrings stream(stops);
  Pieces out;
  for (const std::string& piece : pieces) out.push_back(stream.push(piece));
  out.push_back(stream.finish());
  return out;
}

std::string joined(const Pieces& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

TEST(StopStrings, CutTheTextBeforeTheFirst) {
  EXPECT_THAT(outputs({"END"}, {"a END b END"}), ElementsAre("a ", ""));
  EXPECT_THAT(outputs({"END"}, {"END"}), ElementsAre("", ""));
  EXPECT_THAT(outputs({"END"}, {"a", " b"}), ElementsAre("a", " b", ""));
  EXPECT_THAT(outputs({}, {"a", "b"}), ElementsAre("a", "b", ""));
}

TEST(StopStrings, AreFoundAcrossPieces) {
  EXPECT_THAT(outputs({"\n\nQ:"}, {"yes\n", "\n", "Q", ": no"}),
              ElementsAre("yes", "", "", "", ""));
  StopStrings stream({"ab"});
  EXPECT_EQ(stream.push("xa"), "x");
  EXPECT_FALSE(stream.stopped());
  EXPECT_EQ(stream.push("by"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.push("more"), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StopStrings, HoldBackOnlyWhatMayStillBecomeOne) {
  EXPECT_THAT(outputs({"END"}, {"xE", "N", "x", "EN"}), ElementsAre("x", "", "ENx", "", "EN"));
  // The longest of several beginnings, and one that begins anew inside another.
  EXPECT_THAT(outputs({"aab", "b!"}, {"aa", "a", "b"}), ElementsAre("", "a", "", ""));
  EXPECT_THAT(outputs({"abac"}, {"ab", "ab", "ac"}), ElementsAre("", "ab", "", ""));
}

TEST(StopStrings, OfSeveralTheOneThatEndsFirstCountsAndThenTheLongest) {
  EXPECT_THAT(outputs({"bcd", "c"}, {"abcd"}), ElementsAre("ab", ""));
  EXPECT_THAT(outputs({"c", "bc", "abcd"}, {"abcd"}), ElementsAre("a", ""));
  EXPECT_THAT(outputs({"later", "now"}, {"now, later"}), ElementsAre("", ""));
}

TEST(StopStrings, MayBeAnyCharacters) {
  EXPECT_THAT(outputs({"é"}, {"caf", "é!"}), ElementsAre("caf", "", ""));
  EXPECT_THAT(outputs({"日本"}, {"日", "曜", "日", "本"}), ElementsAre("", "日曜", "", "", ""));
}

TEST(StopStrings, GiveOutTheSameTextHoweverItIsCut) {
  std::mt19937 generator(1);
  const auto random_text = [&](std::size_t most) {
    std::string text(1 + generator() % most, 'a');
    for (char& c : text) c = static_cast<char>('a' + generator() % 3);
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    Pieces stops(generator() % 4);
    for (std::string& stop : stops) stop = random_text(5);
    const std::string text = random_text(40);
    // The shortest beginning of the text that ends with a stop string, without the longest such.
    std::string expected = text;
    for (std::size_t end = 1; end <= text.size() && expected == text; ++end) {
      std::size_t cut = 0;
      for (const std::string& stop : stops) {
        if (text.substr(0, end).ends_with(stop)) cut = std::max(cut, stop.size());
      }
      if (cut > 0) expected = text.substr(0, end - cut);
    }
    Pieces pieces;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t bytes = std::min(text.size() - at, 1 + generator() % 6);
      pieces.push_back(text.substr(at, bytes));
      at += bytes;
    }
    EXPECT_EQ(joined(outputs(stops, pieces)), expected)
        << text << " without " << testing::PrintToString(stops);
  }
}

}  // namespace
}  // namespace initrt
