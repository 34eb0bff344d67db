#include "launch/job/prompt_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/error.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;

std::vector<PromptText> read(const std::string& content) {
  testing::MemoryFiles files;
  files.content["p.jsonl"] = content;
  return read_prompt_file(files, "p.jsonl", 50);
}

std::string error_of(const std::string& content) {
  try {
    (void)read(content);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(PromptFile, HoldsStringsOrObjects) {
  const auto prompts = read("\"one\"\n\n{\"prompt\": \"two\", \"id\": 3}\r\n");
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0].text, "one");
  EXPECT_EQ(prompts[1].text, "two");
}

TEST(PromptFile, MayBeStandardInputOrAPipe) {
  testing::MemoryFiles files;
  files.streams = {{"-", "\"one\"\n"}, {"/dev/fd/63", "\"two\"\n"}};
  EXPECT_EQ(read_prompt_file(files, "-", 50).at(0).text, "one");
  EXPECT_EQ(read_prompt_file(files, "/dev/fd/63", 50).at(0).text, "two");
  files.streams["-"] = "plain text\n";
  try {
    (void)read_prompt_file(files, "-", 50);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "standard input: line 1: not valid JSON at byte 1: a prompt is a string in double "
                 "quotes, or an object, each on a line of its own");
  }
}

TEST(PromptFile, APromptMayHaveItsOwnNumberOfTokens) {
  const auto prompts = read(R"("one"
{"prompt": "two", "max_new_tokens": 7}
{"prompt": "three"})");
  std::vector<std::uint64_t> most;
  for (const PromptText& prompt : prompts) most.push_back(prompt.max_new_tokens);
  EXPECT_THAT(most, ElementsAre(50, 7, 50));
}

TEST(PromptFile, HoldsConversations) {
  const auto prompts = read(R"({"messages": [{"role": "user", "content": "hi"}]}
"plain"
{"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "a"}], "max_new_tokens": 7, "tools": [{"name": "f"}]}
)");
  ASSERT_EQ(prompts.size(), 3u);
  EXPECT_EQ(prompts[0].conversation.messages.dump(), R"([{"role":"user","content":"hi"}])");
  EXPECT_TRUE(prompts[1].conversation.empty());
  EXPECT_EQ(prompts[2].conversation.messages.size(), 2u);
  EXPECT_TRUE(prompts[0].conversation.tools.is_null());
  EXPECT_EQ(prompts[2].conversation.tools.dump(), R"([{"name":"f"}])");
  EXPECT_EQ(prompts[2].max_new_tokens, 7u);
}

TEST(PromptFile, WhatIsNoPromptIsNamedByItsLine) {
  const std::string expected =
      "p.jsonl: line 2: expected a string or an object with a string \"prompt\" or with "
      "\"messages\"";
  EXPECT_EQ(error_of("\"one\"\n{\"text\": \"two\"}\n"), expected);
  EXPECT_EQ(error_of("\n{\"prompt\": 3}\n"), expected);
  EXPECT_EQ(error_of("\n{\"prompt\": \"a\", \"messages\": []}\n"), expected);
  EXPECT_EQ(error_of("\n{\"messages\": []}\n"),
            "p.jsonl: line 2: messages is not a list of objects with \"role\" and \"content\"");
  EXPECT_THAT(error_of("\"one\n"), ::testing::StartsWith("p.jsonl: line 1: "));
  EXPECT_EQ(error_of("\n"), "p.jsonl: no prompts in this file");
  for (const char* most : {"0", "-1", "1.5", "\"7\"", "null", "1073741825"}) {
    EXPECT_EQ(error_of(std::string(R"({"prompt": "a", "max_new_tokens": )") + most + "}"),
              "p.jsonl: line 1: max_new_tokens is not a whole number from 1 to 1073741824");
  }
}

}  // namespace
}  // namespace initrt
