#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "runtime/text/sentencepiece.h"
#include "runtime/text/sentencepiece_model.h"
#include "tests/sharding/errors.h"
#include "tests/support/small_sentencepiece.h"

namespace initrt {
namespace {

using ::testing::HasSubstr;
using testing::SmallCharsmap;

std::string charsmap_error(const std::string& charsmap) {
  testing::SmallSentencePiece small;
  small.normalizer += testing::bytes_field(2, charsmap);
  return testing::error_of([&] { (void)make_sentencepiece_tokenizer(small.model()); });
}

TEST(Charsmap, IsRefusedWhereASearchWouldLeaveIt) {
  SmallCharsmap good;
  good.add("ab", "x");
  EXPECT_NO_THROW(check_charsmap(good.bytes()));
  const std::uint32_t ab = good.base(good.base(0) | 'a') | 'b';
  SmallCharsmap bad = good;
  bad.set(ab, 5u << 8, 'b');
  EXPECT_THAT(charsmap_error(bad.bytes()), HasSubstr("leads out of the array"));
  bad = good;
  bad.units[0] = 0x1fffffu << 10 | 1 << 9;  // an offset of 2^29 - 256
  EXPECT_THAT(charsmap_error(bad.bytes()), HasSubstr("unit 0 leads out of the array"));
  bad = good;
  bad.units.resize(bad.units.size() - 1);
  EXPECT_THAT(charsmap_error(bad.bytes()), HasSubstr("leads out of the array"));
  bad = good;
  bad.units[bad.base(ab)] = 0x80000002;
  EXPECT_THAT(charsmap_error(bad.bytes()), HasSubstr("names no replacement"));
  bad = good;
  bad.units[bad.base(ab)] = 0xffffffff;
  EXPECT_THAT(charsmap_error(bad.bytes()), HasSubstr("names no replacement"));
  bad = good;
  bad.replacements.pop_back();
  bad.replacements += 'y';
  EXPECT_THAT(charsmap_error(bad.bytes()), HasSubstr("the last replacement does not end"));
  EXPECT_THAT(charsmap_error(std::string(4, '\0')), HasSubstr("only 4 bytes"));
  EXPECT_THAT(charsmap_error(std::string(5, '\0')), HasSubstr("an empty double array"));
  EXPECT_THAT(charsmap_error(std::string("\4\0\0\0abcd", 8)), HasSubstr("of 4 bytes, in 4"));
  EXPECT_THAT(charsmap_error(std::string("\3\0\0\0abcd", 8)), HasSubstr("of 3 bytes, in 4"));
}

TEST(Charsmap, IsRefusedWhereItTakesOrGivesMoreThanAnyRealOne) {
  SmallCharsmap charsmap;
  charsmap.add(std::string(32, 'a'), std::string(256, 'x'));
  EXPECT_NO_THROW(check_charsmap(charsmap.bytes()));
  SmallCharsmap longer = charsmap;
  longer.add(std::string(33, 'a'), "x");
  EXPECT_THAT(charsmap_error(longer.bytes()), HasSubstr("a key of more than 32 bytes"));
  charsmap.add("b", std::string(257, 'x'));
  EXPECT_THAT(charsmap_error(charsmap.bytes()), HasSubstr("a replacement of more than 256 bytes"));
  SmallCharsmap cycle;
  cycle.replacements.push_back('\0');
  cycle.set(cycle.base(0) | 'a', 'a', 'a');  // back to the children of the root
  EXPECT_THAT(charsmap_error(cycle.bytes()), HasSubstr("a key of more than 32 bytes"));
}

// The library's search, with every access checked.
void search(const std::vector<std::uint32_t>& units, std::size_t replacements,
            std::string_view key) {
  const auto offset = [](std::uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); };
  std::uint32_t at = offset(units.at(0));
  int results = 0;
  for (const char byte : key) {
    at ^= static_cast<unsigned char>(byte);
    const std::uint32_t unit = units.at(at);
    if ((unit & 0x800000ff) != static_cast<unsigned char>(byte)) return;
    at ^= offset(unit);
    if ((unit & 0x100) == 0) continue;
    EXPECT_LT(units.at(at) & 0x7fffffff, replacements);
    EXPECT_LE(++results, 32);
  }
}

TEST(Charsmap, WhatPassesTheCheckIsNotLeftByAnySearch) {
  std::mt19937 random(7);
  SmallCharsmap good;
  for (const char* key : {"a", "ab", "abc", "b", "ba", "bb", "c", "ca"}) good.add(key, key);
  const std::uint32_t first = good.base(0) | 'a';
  int passed = 0;
  for (int round = 0; round < 3000; ++round) {
    SmallCharsmap damaged = good;
    for (int i = 0; i < 3; ++i) {
      // What stands in one place to another, or one bit: damage that can still pass.
      std::uint32_t& unit =
          damaged.units[random() % 4 == 0 ? random() % damaged.units.size() : first + random() % 3];
      unit = random() % 2 == 0 ? damaged.units[first + random() % 3] : unit ^ 1u << random() % 32;
    }
    try {
      check_charsmap(damaged.bytes());
    } catch (const Error&) {
      continue;
    }
    ++passed;
    for (int i = 0; i < 50; ++i) {
      std::string key;
      for (int k = 0; k < 50; ++k) key += static_cast<char>('a' + random() % 3);
      ASSERT_NO_THROW(search(damaged.units, damaged.replacements.size(), key));
    }
  }
  EXPECT_GT(passed, 200);
  EXPECT_LT(passed, 2800);
}

}  // namespace
}  // namespace initrt
