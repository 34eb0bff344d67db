#include "launch/job/messages.h"

#include <gtest/gtest.h>

#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

std::string error_of(const std::string& json) {
  try {
    (void)read_messages(Json::parse(json), "f: messages");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Messages, AreWhatIsGivenWhateverATemplateMayLookFor) {
  const Json messages = Json::parse(R"([
    {"role": "developer", "content": ""},
    {"role": "user", "content": [{"type": "text", "text": "a"}], "name": "b"},
    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"z": 1, "a": 2}}}]},
    {"role": "tool", "tool_call_id": "x", "content": {"sky": "clear"}},
    {"role": "assistant", "content": null, "reasoning_content": "why", "tool_calls": []}])");
  EXPECT_EQ(read_messages(messages, "f").dump(), messages.dump());
}

TEST(Messages, WhatIsNoMessageIsNamedByItsPlace) {
  const std::string no_list = "f: messages is not a list of objects with \"role\" and \"content\"";
  EXPECT_EQ(error_of("3"), no_list);
  EXPECT_EQ(error_of("[]"), no_list);
  EXPECT_EQ(error_of(R"({"role": "user", "content": "a"})"), no_list);
  EXPECT_EQ(error_of(R"([{"role": "user", "content": "a"}, "b"])"),
            "f: messages[1] is not an object with \"role\" and \"content\"");
  EXPECT_EQ(error_of(R"([{"content": "a"}])"), "f: messages[0] has no string \"role\"");
  EXPECT_EQ(error_of(R"([{"role": "", "content": "a"}])"), "f: messages[0] has no string \"role\"");
  const std::string no_content =
      "f: messages[0] has no \"content\" that is a text or a list of parts";
  EXPECT_EQ(error_of(R"([{"role": "user"}])"), no_content);
  EXPECT_EQ(error_of(R"([{"role": "user", "content": 3}])"), no_content);
}

TEST(Tools, AreAListOfObjects) {
  const Json tools = Json::parse(R"([{"type": "function", "function": {"name": "f"}}])");
  EXPECT_EQ(read_tools(tools, "f: tools"), tools);
  EXPECT_TRUE(read_tools(Json::array(), "f: tools").is_null());
  EXPECT_TRUE(read_tools(nullptr, "f: tools").is_null());
  try {
    (void)read_tools(Json::parse(R"([{}, "f"])"), "f: tools");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "f: tools[1] is not an object that describes a tool");
  }
}

}  // namespace
}  // namespace initrt
