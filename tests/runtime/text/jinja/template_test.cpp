// Limits, errors and clocks of templates; what constructs write is in jinja_golden_test.cpp.
#include "runtime/text/jinja/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/text/jinja/lexer.h"
#include "sharding/error.h"

namespace initrt::jinja {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::Not;

std::string render(std::string_view source, const Json& variables = Json::object(),
                   const Limits& limits = {}) {
  return Template(source).render(variables, std::nullopt, limits);
}

std::string error_of(std::string_view source, const Json& variables = Json::object(),
                     const Limits& limits = {}) {
  try {
    return "no error, but the text: " + render(source, variables, limits);
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.what();
  }
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Template, NamesTheLineOfWhatIsMalformed) {
  EXPECT_EQ(error_of("a\n{{ x"), "line 2: a tag is not closed");
  EXPECT_EQ(error_of("{# x"), "line 1: a comment is not closed");
  EXPECT_EQ(error_of("\n{{ 'x }}"), "line 2: a string is not closed");
  EXPECT_EQ(error_of("{{ a b }}"), "line 1: expected the end of the tag, found \"b\"");
  EXPECT_EQ(error_of("\n\n{{ (1 }}"), "line 3: unexpected '}'");
  EXPECT_EQ(error_of("{{ (1] }}"), "line 1: unexpected ']'");
  EXPECT_EQ(error_of("{{ }}"), "line 1: expected an expression, found the end of the tag");
  EXPECT_EQ(error_of("{% if x %}\n{% for y in z %}\n{% endif %}"), "line 3: unknown tag \"endif\"");
  EXPECT_EQ(error_of("{% if x %}\nabc"),
            "line 2: expected {% endif %}, found the end of the template");
  EXPECT_EQ(error_of("{% raw %}\nabc"), "line 1: {% raw %} is not closed");
  EXPECT_EQ(error_of("{% include 'x' %}"), "line 1: unknown tag \"include\"");
  EXPECT_EQ(error_of("{% break %}"), "line 1: {% break %} outside of a loop");
  EXPECT_EQ(error_of("{% set true = 1 %}"), "line 1: can't assign to \"true\"");
  EXPECT_EQ(error_of("{{ 9223372036854775808 }}"), "line 1: an int beyond 64 bits");
  EXPECT_EQ(error_of("\n{{ a.0x }}"), "line 2: a number is malformed");
  EXPECT_EQ(error_of("{{ '\\ud800' }}"), "line 1: an escape in a string stands for no character");
  EXPECT_EQ(error_of("{{ a is b is c }}"), "line 1: You cannot chain multiple tests with is");
  EXPECT_EQ(error_of("{% call 3 %}{% endcall %}"), "line 1: expected a call of a macro");
}

TEST(Template, NamesTheLineOfWhatCannotBeEvaluated) {
  EXPECT_EQ(error_of("a\n{{ x.y }}"), "line 2: 'x' is undefined");
  EXPECT_EQ(error_of("{% set a = {} %}\n\n{{ a.b.c }}"),
            "line 3: 'dict object' has no attribute 'b'");
  EXPECT_EQ(error_of("{{ 'a' + 1 }}"),
            "line 1: unsupported operand type(s) for +: 'str' and 'int'");
  EXPECT_EQ(error_of("{{ [1] < 2 }}"),
            "line 1: '<' not supported between instances of 'list' and 'int'");
  EXPECT_EQ(error_of("{{ x | nosuch }}"), "line 1: no filter named 'nosuch'");
  EXPECT_EQ(error_of("{{ x is nosuch }}"), "line 1: no test named 'nosuch'");
  EXPECT_EQ(error_of("{% macro m(a) %}\n{{ a.b }}\n{% endmacro %}\n{{ m() }}"),
            "line 2: parameter 'a' was not provided");
  EXPECT_EQ(error_of("{{ [].append(1) }}"),
            "line 1: access to attribute 'append' of 'list' object is unsafe");
  EXPECT_EQ(error_of("{{ raise_exception('no\\nway \\x1b') }}"),
            R"(line 1: the template refuses: "no\nway \u001b")");
  EXPECT_EQ(error_of("{% for a, b in [[1]] %}{% endfor %}"),
            "line 1: cannot unpack 1 values into 2 names");
  EXPECT_EQ(error_of("{{ namespace() }}"), "line 1: a namespace has no text of its own");
  EXPECT_EQ(error_of("{{ 'a' | trim(1, 2) }}"),
            "line 1: trim() takes at most 1 arguments, 2 are given");
  EXPECT_EQ(error_of("{{ 'a' | trim(x=1) }}"), "line 1: trim() has no argument 'x'");
  EXPECT_EQ(error_of("{{ 9223372036854775807 + 1 }}"), "line 1: an int beyond 64 bits");
}

TEST(Template, ErrorsAreOnePrintableLineWhateverTheTemplateCallsItsNames) {
  EXPECT_EQ(error_of("{{ [1] | select('a\\n\\x1b') }}"), R"(line 1: no test named 'a\n\x1b')");
  const std::string error = error_of("{{ {}['" + std::string(9000, 'x') + "'].y }}");
  EXPECT_LT(error.size(), 500u);
  EXPECT_TRUE(error.ends_with("xxx...")) << error;
}

TEST(Template, HasNoClockUnlessItIsGivenOne) {
  EXPECT_EQ(render("{{ strftime_now is defined }}"), "False");
  EXPECT_EQ(error_of("{{ strftime_now('%Y') }}"), "line 1: 'strftime_now' is undefined");
  std::tm now{};
  now.tm_year = 125;
  now.tm_mday = 31;
  EXPECT_EQ(Template("{{ strftime_now('%d.%m.%Y') }}").render(Json::object(), now), "31.01.2025");
}

TEST(Template, SeesVariablesInTheOrderThatTheyHave) {
  const Json variables = Json::parse(R"({"z": {"b": 1, "a": [true, null, 1.5, "é"]}})");
  EXPECT_EQ(render("{{ z | tojson }}", variables), R"({"b": 1, "a": [true, null, 1.5, "é"]})");
  EXPECT_EQ(error_of("{{ z }}", Json::parse(R"({"z": 18446744073709551615})")),
            "line 1: the number 18446744073709551615 is beyond 64 bits with a sign");
}

TEST(Template, EndsWithinItsLimits) {
  const std::string forever = "{% for a in range(9999) %}{% for b in range(9999) %}";
  EXPECT_THAT(error_of(forever + "{% endfor %}{% endfor %}", {}, {.steps = 1000000}),
              HasSubstr("more than 1000000 steps"));
  EXPECT_THAT(error_of(forever + "{{ 'text' }}{% endfor %}{% endfor %}", {}, {.output = 5000}),
              HasSubstr("the text has more than 5000 bytes"));
  const std::string growing =
      "{% set ns = namespace(x='abcdefgh') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
      "{% endfor %}";
  EXPECT_THAT(error_of(growing, {}, {.memory = 1u << 20}), HasSubstr("1048576 bytes of memory"));
  for (const char* large :
       {"{{ 'a' * 99999999999 }}", "{{ [1] * 99999999999 }}", "{{ 'a'.center(99999999999) }}",
        "{{ 'a' | indent(99999999999) }}", "{{ [1] | batch(99999999999, 0) | list }}",
        "{{ 'a' * 9223372036854775807 }}"}) {
    EXPECT_THAT(error_of(large), HasSubstr("bytes of memory")) << large;
  }
  EXPECT_THAT(error_of("{{ range(1000000000) }}"), HasSubstr("Range too big"));
  EXPECT_THAT(error_of("{{ '{:999999}'.format(1) }}"), HasSubstr("width"));
  EXPECT_THAT(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
              HasSubstr("calls itself too deep"));
  EXPECT_THAT(error_of("{% for x in [[[]]] recursive %}{{ loop([[1]]) }}{% endfor %}"),
              HasSubstr("calls itself too deep"));
}

TEST(Template, IsNotNestedWithoutEnd) {
  EXPECT_THAT(error_of("{{ " + repeated("(", 900) + "1" + repeated(")", 900) + " }}"),
              HasSubstr("nested more than"));
  EXPECT_THAT(error_of("{{ " + repeated("not ", 9000) + "1 }}"), HasSubstr("nested more than"));
  EXPECT_THAT(error_of("{{ " + repeated("-", 9000) + "1 }}"), HasSubstr("nested more than"));
  EXPECT_THAT(error_of(repeated("{% if x %}", 900) + repeated("{% endif %}", 900)),
              HasSubstr("nested more than"));
  EXPECT_THAT(error_of("{{ 1" + repeated(" + 1", 9000) + " }}"), HasSubstr("too many parts"));
  EXPECT_THAT(error_of("{{ x" + repeated("|list", 9000) + " }}"), HasSubstr("too many parts"));
  EXPECT_THAT(error_of("{{ x" + repeated(".y", 9000) + " }}"), HasSubstr("too many parts"));
  EXPECT_EQ(render("{{ 1" + repeated(" + 1", 300) + " }}"), "301");
  EXPECT_THAT(error_of(std::string(kMaxSourceBytes + 1, 'a')), HasSubstr("bytes"));
}

TEST(Template, ValuesAreNotNestedWithoutEndAndMayHoldThemselves) {
  const std::string loop = "{% set ns = namespace(x=[]) %}{% for i in range(200) %}";
  EXPECT_THAT(error_of(loop + "{% set ns.x = [ns.x] %}{% endfor %}"), HasSubstr("nested"));
  EXPECT_THAT(error_of(loop + "{% set ns.x = {1: ns.x} %}{% endfor %}"), HasSubstr("nested"));
  EXPECT_THAT(error_of(loop + "{% set ns.x = namespace(y=ns.x) %}{% endfor %}"),
              HasSubstr("nested"));
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}"),
            "True");
  EXPECT_EQ(render("{% macro m() %}{% set k = m %}{% macro n() %}{{ k.name }}{% endmacro %}"
                   "{{ n() }}{% endmacro %}{{ m() }}"),
            "m");
}

TEST(Template, ReadsWhatIsNotUtf8AsReplacements) {
  EXPECT_EQ(render("a\xFF{{ 'b\xC3' }}"), "a\uFFFDb\uFFFD");
}

}  // namespace
}  // namespace initrt::jinja
