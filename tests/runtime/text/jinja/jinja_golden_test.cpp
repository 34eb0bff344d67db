// Small templates against what transformers' Jinja makes of them. The references and the script
// that made them are in tests/golden.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/text/jinja/template.h"
#include "sharding/error.h"
#include "tests/support/source_path.h"

namespace initrt::jinja {
namespace {

using Json = nlohmann::ordered_json;

const Json& reference() {
  static const Json content = [] {
    std::ifstream file(testing::source_path("tests/golden/jinja/cases.json"));
    return Json::parse(file);
  }();
  return content;
}

std::tm now() {
  const Json& parts = reference()["now"];
  std::tm time{};
  time.tm_year = parts[0].get<int>() - 1900;
  time.tm_mon = parts[1].get<int>() - 1;
  time.tm_mday = parts[2];
  time.tm_hour = parts[3];
  time.tm_min = parts[4];
  time.tm_sec = parts[5];
  std::tm normal = time;
  timegm(&normal);
  return normal;
}

// The text, or null and the error.
std::pair<Json, std::string> rendered(const Json& source, const Json& variables) {
  try {
    return {Template(source.get<std::string>()).render(variables, now()), ""};
  } catch (const Error& error) {
    return {nullptr, error.what()};
  }
}

std::vector<std::string> names(const char* kind) {
  std::vector<std::string> all;
  for (const Json& one : reference()[kind]) all.push_back(one["name"]);
  return all;
}

const Json& named(const char* kind, const std::string& name) {
  for (const Json& one : reference()[kind]) {
    if (one["name"] == name) return one;
  }
  fail("tests/golden/jinja/cases.json has no {}", name);
}

class JinjaConstruct : public ::testing::TestWithParam<std::string> {};

TEST_P(JinjaConstruct, IsWrittenAsTheReferenceWritesItOrRefusedAsThere) {
  const Json& construct = named("constructs", GetParam());
  const auto [text, error] = rendered(construct["template"], reference()["values"]);
  EXPECT_EQ(text, construct["text"]) << error;
}

INSTANTIATE_TEST_SUITE_P(Constructs, JinjaConstruct, ::testing::ValuesIn(names("constructs")),
                         [](const auto& param) { return param.param; });

class JinjaTemplate : public ::testing::TestWithParam<std::string> {};

TEST_P(JinjaTemplate, WritesWhatTheReferenceWrites) {
  const Json& one = named("templates", GetParam());
  const Json& messages = reference()["messages"];
  ASSERT_EQ(one["texts"].size(), messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    Json variables = one["variables"];
    variables["messages"] = messages[i];
    const auto [text, error] = rendered(one["template"], variables);
    EXPECT_EQ(text, one["texts"][i]) << "messages " << i << ": " << error;
  }
}

INSTANTIATE_TEST_SUITE_P(Templates, JinjaTemplate, ::testing::ValuesIn(names("templates")),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace initrt::jinja
