#include "launch/job/prompt_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "sharding/error.h"
#include "tests/sharding/memory_files.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;

std::vector<PromptText> read(const std::string& content) {
  testing::MemoryFiles files;
  files.content["p.jsonl"] = content;
  return read_prompt_file(files, "p.jsonl", Job());
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of(const std::string& content) {
  return error_of([&] { (void)read(content); });
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
  EXPECT_EQ(read_prompt_file(files, "-", Job()).at(0).text, "one");
  EXPECT_EQ(read_prompt_file(files, "/dev/fd/63", Job()).at(0).text, "two");
  files.streams["-"] = "plain text\n";
  try {
    (void)read_prompt_file(files, "-", Job());
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

TEST(PromptFile, ALineMayChooseItsTokensInItsOwnWay) {
  const auto prompts = read(R"({"prompt": "a", "temperature": 0.5, "top_k": 3, "stop": "END"}
{"prompt": "b", "seed": 9, "top_p": 0.25, "min_p": 0.125, "repetition_penalty": 2}
"c")");
  ASSERT_EQ(prompts.size(), 3u);
  const SamplerOptions usual = sampler_options(Job());
  SamplerOptions first = usual, second = usual;
  first.temperature = 0.5F;
  first.top_k = 3;
  second.seed = 9;
  second.top_p = 0.25F;
  second.min_p = 0.125F;
  second.repetition_penalty = 2;
  EXPECT_EQ(prompts[0].sampler, first);
  EXPECT_THAT(prompts[0].stop, ElementsAre("END"));
  EXPECT_EQ(prompts[1].sampler, second);
  EXPECT_TRUE(prompts[1].stop.empty());
  EXPECT_EQ(prompts[2].sampler, usual);
}

TEST(PromptFile, ALineMayHaveAnId) {
  const auto prompts = read(R"({"prompt": "a", "id": "x\"y"}
{"prompt": "b", "id": 7}
{"prompt": "c", "id": null}
{"id": "bad"}
{"prompt": "e", "id": [1]})");
  EXPECT_EQ(prompts.at(0).id, R"("x\"y")");
  EXPECT_EQ(prompts.at(1).id, "7");
  EXPECT_EQ(prompts.at(2).id, "");
  EXPECT_EQ(prompts.at(3).id, R"("bad")") << "which line it was is what its error is looked up by";
  EXPECT_EQ(prompts.at(4).error, "p.jsonl: line 5: id is neither a string nor a number");
}

TEST(PromptFile, ABadLineAmongOthersIsKeptWithItsError) {
  const auto prompts = read("\"one\"\n\nnot json\n{\"prompt\": \"two\"}\n");
  ASSERT_EQ(prompts.size(), 3u);
  EXPECT_TRUE(prompts[0].error.empty() && prompts[2].error.empty());
  EXPECT_EQ(prompts[1].line, 3u);
  EXPECT_THAT(prompts[1].error, ::testing::StartsWith("p.jsonl: line 3: not valid JSON"));
}

TEST(PromptFile, APartIsANumberOfHowMany) {
  std::vector<std::uint32_t> ends = {0};
  for (const char* part : {"0/3", "1/3", "2/3"}) {
    const PromptRange range = range_of_part(part, 8);
    EXPECT_EQ(range.first, ends.back()) << part;
    ends.push_back(range.last);
  }
  EXPECT_THAT(ends, ElementsAre(0, 2, 5, 8));
  EXPECT_EQ(range_of_part("", 8).last, 8u);
  EXPECT_EQ(range_of_part("0/9", 2).first, range_of_part("0/9", 2).last)
      << "more parts than prompts";
  for (const char* part : {"3/3", "1", "1/", "/3", "-1/3", "0/0", "1/3 ", "a/3"}) {
    EXPECT_THAT(error_of([&] { (void)range_of_part(part, 8); }),
                ::testing::HasSubstr("expected K/N with K from 0 to N-1"))
        << part;
  }
}

TEST(PromptFile, WhatIsNoPromptIsNamedByItsLine) {
  const std::string expected =
      "p.jsonl: line 2: expected a string or an object with a string \"prompt\" or with "
      "\"messages\"";
  EXPECT_EQ(read("\"one\"\n{\"text\": \"two\"}\n").at(1).error, expected);
  EXPECT_EQ(error_of("\n{\"prompt\": 3}\n"), expected);
  EXPECT_EQ(error_of("\n{\"prompt\": \"a\", \"messages\": []}\n"), expected);
  EXPECT_EQ(error_of("\n{\"messages\": []}\n"),
            "p.jsonl: line 2: messages is not a list of objects with \"role\" and \"content\"");
  EXPECT_THAT(error_of("\"one\n"), ::testing::StartsWith("p.jsonl: line 1: "));
  EXPECT_EQ(error_of("\n"), "p.jsonl: no prompts in this file");
  for (const char* most : {"0", "-1", "1.5", "\"7\"", "null", "1073741825"}) {
    EXPECT_EQ(error_of(std::string(R"({"prompt": "a", "max_new_tokens": )") + most + "}"),
              std::string("p.jsonl: line 1: generate.max_new_tokens is ") + most +
                  ", expected a whole number from 1 to 1073741824");
  }
}

}  // namespace
}  // namespace initrt
