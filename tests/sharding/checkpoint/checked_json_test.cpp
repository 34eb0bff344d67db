#include "sharding/checkpoint/checked_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using testing::error_of;

TEST(JsonText, IsReadAsTheSameValueWhateverItsNumbers) {
  const std::string text =
      R"({"b":[0.0,Infinity,{"c":-Infinity}],"a":"Infinity","n":null,"e":[],"d":1.5})";
  const auto value = parse_ordered_json(text, "x.json");
  const std::string written = json_text(value);
  EXPECT_EQ(parse_ordered_json(written, "x.json"), value) << written;
  EXPECT_TRUE(std::isnan(parse_json(json_text({1, NAN}), "x.json")[1].get<double>()));
}

TEST(CheckedJson, ParsesWhatIsWellFormed) {
  const nlohmann::json value = parse_json(R"({"a": {"b": 1}, "c": [{"b": 2}, {"b": 3}]})", "x");
  EXPECT_EQ(value["a"]["b"], 1);
  EXPECT_EQ(value["c"][1]["b"], 3);
}

TEST(CheckedJson, NumbersMayBeWhatPythonWritesThatIsNotFinite) {
  const nlohmann::json value = parse_json(
      R"({"a": [0.5, NaN, -1, Infinity], "NaN": "Infinity, \"NaN", "b":-Infinity,"c": {"d":NaN}, "e": 2})",
      "x.json");
  EXPECT_EQ(value["a"][0], 0.5);
  EXPECT_TRUE(std::isnan(value["a"][1].get<double>()));
  EXPECT_EQ(value["a"][2], -1);
  EXPECT_EQ(value["a"][3], std::numeric_limits<double>::infinity());
  EXPECT_EQ(value["NaN"], "Infinity, \"NaN");
  EXPECT_EQ(value["b"], -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(value["c"]["d"].get<double>()));
  EXPECT_EQ(value["e"], 2);
  EXPECT_TRUE(std::isnan(parse_json("NaN", "x.json").get<double>()));
}

TEST(CheckedJson, WordsThatOnlyLookLikeThoseAreErrorsWithTheirByte) {
  for (const char* wrong : {"[xNaN]", "[NaN5]", "[1NaN]", "[-NaN]", "[+Infinity]", "[NaN NaN]",
                            "{NaN: 1}", "[Infinity\"a\"]", "[\"a\"NaN]", "\"NaN"}) {
    EXPECT_NE(error_of([&] { (void)parse_json(wrong, "x.json"); }).find("x.json: not valid JSON"),
              std::string::npos)
        << wrong;
  }
  EXPECT_EQ(error_of([] { (void)parse_json("[Infinity, NaN, tru]", "x.json"); }),
            "x.json: not valid JSON at byte 20");
}

TEST(CheckedJson, AKeyGivenTwiceIsAnError) {
  EXPECT_EQ(error_of([] { (void)parse_json(R"({"a": 1, "b": {"a": 2}, "a": 3})", "x.json"); }),
            "x.json: key \"a\" appears twice");
  EXPECT_NO_THROW((void)parse_json(R"({"a": {"a": [{"a": 1}, {"a": 1}]}})", "x.json"));
}

TEST(CheckedJson, NestingStopsAtSixtyFour) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW((void)parse_json(nested(64), "x.json"));
  EXPECT_EQ(error_of([&] { (void)parse_json(nested(1'000'000), "x.json"); }),
            "x.json: nested more than 64 deep");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(error_of([&] { (void)parse_json(objects, "x.json"); }),
            "x.json: nested more than 64 deep");
}

TEST(CheckedJson, WhatIsNotJsonIsAnErrorWithItsByte) {
  EXPECT_EQ(error_of([] { (void)parse_json("{\"a\": tru}", "x.json"); }),
            "x.json: not valid JSON at byte 10");
  for (const char* wrong : {"", "{", "{\"a\"}", "[1,]", "\"\xff\"", "{} {}", "nan"}) {
    EXPECT_NE(error_of([&] { (void)parse_json(wrong, "x.json"); }).find("x.json: not valid JSON"),
              std::string::npos)
        << wrong;
  }
  EXPECT_EQ(error_of([] { (void)parse_json("[1e999]", "x.json"); }),
            "x.json: not valid JSON: a number is out of range");
}

TEST(CheckedJson, AFileHoldsAnObjectOfLimitedSize) {
  testing::MemoryFiles files;
  files.content["list.json"] = "[1]";
  EXPECT_EQ(error_of([&] { (void)read_json_object(files, "list.json"); }),
            "list.json: expected a JSON object, found array");
  EXPECT_EQ(error_of([&] { (void)read_json_object(files, "none.json"); }),
            "none.json: no such file");
  files.content["large.json"] = std::string(101, ' ');
  EXPECT_EQ(error_of([&] { (void)read_json_object(files, "large.json", 100); }),
            "large.json: 101 bytes, more than the 100 that such a file may have");
  files.content["folder/file"] = "";
  EXPECT_EQ(error_of([&] { (void)read_json_object(files, "folder"); }),
            "folder: not a regular file");
}

TEST(CheckedJson, MembersKeepTheirOrderWhereThatIsAskedFor) {
  const std::string text = R"({"z":1,"a":{"y":NaN,"b":[]}})";
  EXPECT_EQ(parse_ordered_json(text, "x").dump(), R"({"z":1,"a":{"y":null,"b":[]}})");
  EXPECT_EQ(parse_json(text, "x").dump(), R"({"a":{"b":[],"y":null},"z":1})");
  EXPECT_THROW((void)parse_ordered_json(R"({"a": 1, "a": 2})", "x"), Error);
}

TEST(CheckedJson, QuotedTextIsShortAndPrintable) {
  EXPECT_EQ(quote("plain"), "\"plain\"");
  EXPECT_EQ(quote("a\"b\n"), "\"a\\\"b\\n\"");
  EXPECT_EQ(quote(std::string(300, 'x')).size(), 200u + 2 + 3);
  // Cut in the middle of a character, and a lone surrogate's bytes: replaced, not thrown.
  EXPECT_NO_THROW((void)quote(std::string(199, 'x') + "\xc3\xa9"));
  EXPECT_TRUE(testing::is_one_line(quote("\xed\xa0\x80\x7f\x01")));
  EXPECT_EQ(quote("\x7f\xc2\x9b\xe2\x80\xa8"), "\"\\u007f\\u009b\\u2028\"");
}

}  // namespace
}  // namespace initrt
