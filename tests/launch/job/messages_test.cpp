#include "launch/job/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sharding/error.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;

std::string error_of(const std::string& json) {
  try {
    (void)read_messages(nlohmann::json::parse(json), "f: messages");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Messages, AreReadAndWrittenTheSame) {
  const std::string text = R"([{"role":"system","content":""},{"role":"user","content":"é\n"},)"
                           R"({"role":"assistant","content":"a"}])";
  const auto messages = read_messages(nlohmann::json::parse(text), "f");
  EXPECT_THAT(messages, ElementsAre(Message{"system", ""}, Message{"user", "é\n"},
                                    Message{"assistant", "a"}));
  EXPECT_EQ(messages_json(messages).dump(), text);
}

TEST(Messages, WhatIsNoMessageIsNamedByItsPlace) {
  const std::string no_list = "f: messages is not a list of objects with \"role\" and \"content\"";
  EXPECT_EQ(error_of("3"), no_list);
  EXPECT_EQ(error_of("[]"), no_list);
  EXPECT_EQ(error_of(R"({"role": "user", "content": "a"})"), no_list);
  EXPECT_EQ(error_of(R"([{"role": "user", "content": "a"}, "b"])"),
            "f: messages[1] is not an object with \"role\" and \"content\"");
  EXPECT_EQ(error_of(R"([{"content": "a"}])"), "f: messages[0] has no string \"role\"");
  EXPECT_EQ(error_of(R"([{"role": "user", "content": [{"type": "text"}]}])"),
            "f: messages[0] has no string \"content\"");
  EXPECT_EQ(error_of(R"([{"role": "user", "content": null}])"),
            "f: messages[0] has no string \"content\"");
  EXPECT_EQ(error_of(R"([{"role": "to\nol", "content": "a"}])"),
            R"(f: messages[0] has the role "to\nol", expected "system", "user" or "assistant")");
  EXPECT_EQ(error_of(R"([{"role": "user", "content": "a", "tool_calls": []}])"),
            R"(f: messages[0] has the key "tool_calls", expected "role" and "content")");
}

}  // namespace
}  // namespace initrt
