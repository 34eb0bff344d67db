#include "sharding/checkpoint/config/yaml.h"

#include <gtest/gtest.h>

#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using Json = nlohmann::json;
using testing::error_of;

std::string yaml_error(std::string_view text) {
  return error_of([&] { (void)parse_yaml(text, "m.yaml"); });
}

TEST(Yaml, ScalarsAreWhatTheyLookLike) {
  const Json parsed = parse_yaml(
      "none: null\ntilde: ~\nempty:\nyes: true\nno: False\ncount: 42\nminus: -3\nplus: +7\n"
      "small: 1.0e-05\nshort: 1e-05\nreal: 0.25\ntext: LLaMAMLP\nquoted: '12'\ndouble: \"a\\tb\"\n"
      "large: 18446744073709551615\nlarger: 18446744073709551616\nversion: 1.2.3\ninf: .inf\n",
      "m.yaml");
  EXPECT_EQ(parsed, Json({{"none", nullptr},
                          {"tilde", nullptr},
                          {"empty", nullptr},
                          {"yes", true},
                          {"no", false},
                          {"count", 42},
                          {"minus", -3},
                          {"plus", 7},
                          {"small", 1e-5},
                          {"short", 1e-5},
                          {"real", 0.25},
                          {"text", "LLaMAMLP"},
                          {"quoted", "12"},
                          {"double", "a\tb"},
                          {"large", 18446744073709551615ull},
                          {"larger", 18446744073709551616.0},
                          {"version", "1.2.3"},
                          {"inf", ".inf"}}));
  EXPECT_TRUE(parsed["count"].is_number_integer());
}

TEST(Yaml, MappingsAndSequencesNest) {
  EXPECT_EQ(parse_yaml("a:\n  org: x\n  list: [1, {b: 2}]\nc:\n- 1\n- two\n", "m.yaml"),
            Json({{"a", {{"org", "x"}, {"list", {1, {{"b", 2}}}}}}, {"c", {1, "two"}}}));
  EXPECT_EQ(parse_yaml("just text", "m.yaml"), "just text");
}

TEST(Yaml, WhatStandsForMoreThanItSaysIsRefused) {
  EXPECT_EQ(yaml_error("a: &x [1]\nb: *x\n"), "m.yaml: line 1: anchors are not read");
  EXPECT_EQ(yaml_error("a: 1\nb: *x\n"), "m.yaml: line 2: aliases are not read");
  EXPECT_EQ(yaml_error("a: !!python/object:os.system x\n"), "m.yaml: line 1: tags are not read");
  EXPECT_EQ(yaml_error("a: 1\na: 2\n"), "m.yaml: line 2: key \"a\" appears twice");
  EXPECT_EQ(yaml_error("? [1]\n: 2\n"), "m.yaml: line 1: a key that is no text");
  EXPECT_EQ(yaml_error("a: 1\n---\nb: 2\n"), "m.yaml: line 2: expected one YAML document");
  EXPECT_EQ(yaml_error(""), "m.yaml: line 1: expected one YAML document");
  EXPECT_NE(yaml_error("a: [1, 2\nb: }").find("not valid YAML"), std::string::npos);
  EXPECT_NE(yaml_error(std::string(1000, '[')).find("nested more than 64 deep"), std::string::npos);
  EXPECT_NE(yaml_error("a: \xff\xfe\n").find("m.yaml: line"), std::string::npos);
}

}  // namespace
}  // namespace initrt
