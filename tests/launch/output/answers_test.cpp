#include "launch/output/answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/comm/threads.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;

/// Tokens are what this says.
class Bytes final : public Tokenizer {
 public:
  explicit Bytes(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}
  std::vector<TokenId> encode(std::string_view) const override { return {}; }
  std::vector<TokenId> encode_bare(std::string_view) const override { return {}; }
  std::string token_bytes(TokenId id) const override {
    return tokens_.at(static_cast<std::size_t>(id));
  }
  std::size_t vocabulary() const override { return tokens_.size(); }

 private:
  std::vector<std::string> tokens_;
};

/// What each token makes come out, and what the end does.
std::vector<std::string> outputs(const std::vector<std::string>& tokens,
                                 const std::vector<std::string>& stop) {
  const Bytes tokenizer(tokens);
  AnswerText text(tokenizer, stop);
  std::vector<std::string> out;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    out.push_back(text.push(static_cast<TokenId>(id)));
  }
  out.push_back(text.finish());
  return out;
}

TEST(AnswerText, GivesOutWholeCharacters) {
  EXPECT_THAT(outputs({"caf\xC3", "\xA9", "!"}, {}), ElementsAre("caf", "é", "!", ""));
  EXPECT_THAT(outputs({"a\xC3"}, {}), ElementsAre("a", "\uFFFD"));
}

TEST(AnswerText, FindsStopStringsAcrossTokensAndHalfCharacters) {
  EXPECT_THAT(outputs({"oui \xC3", "\xA9t", "\xC3", "\xA9 non"}, {"été"}),
              ElementsAre("oui ", "", "", "", ""));
  EXPECT_THAT(outputs({"oui \xC3", "\xA9t", "e"}, {"été"}), ElementsAre("oui ", "", "éte", ""));
}

TEST(AnswerText, AtItsEndGivesOutWhatWasHeldBack) {
  EXPECT_THAT(outputs({"a E", "N"}, {"END"}), ElementsAre("a ", "", "EN"));
  EXPECT_THAT(outputs({"a E\xC3"}, {"END"}), ElementsAre("a ", "E\uFFFD"));
}

TEST(Answers, AreTheSameOnEveryRankAfterTheExchange) {
  const auto failures = run_ranks(3, [](Communicator& comm) {
    std::vector<Completion> mine;
    if (comm.rank() == 1) {
      mine.push_back({4, {7, 8}, true, {}});
      mine.push_back({2, {}, true, {}});
    }
    if (comm.rank() == 2) {
      mine.push_back({0, {5, 6}, false, {{{5, -0.5f}, {9, -0.25f}}, {{6, -1.0f}, {6, -1.0f}}}});
    }
    const std::vector<Completion> all = exchange_completions(comm, mine);
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].index, 4u);
    EXPECT_THAT(all[0].tokens, ElementsAre(7, 8));
    EXPECT_TRUE(all[0].ended && all[0].logprobs.empty());
    EXPECT_TRUE(all[1].index == 2 && all[1].tokens.empty());
    EXPECT_FALSE(all[2].ended);
    EXPECT_THAT(all[2].logprobs,
                ElementsAre(ElementsAre(TokenLogprob{5, -0.5f}, TokenLogprob{9, -0.25f}),
                            ElementsAre(TokenLogprob{6, -1.0f}, TokenLogprob{6, -1.0f})));
  });
  EXPECT_THAT(failures, ::testing::Each(::testing::IsEmpty()));
}

/// What is written, and what is kept meanwhile.
struct Told final : ResultOutput {
  std::string written, kept;
  void write(std::string_view line) override { written += line; }
  void keep(std::uint32_t index, std::string_view line) override {
    kept += std::to_string(index) + " " + std::string(line);
  }
};

TEST(Answers, ToAConversationRepeatItsMessages) {
  const Bytes tokenizer({"a"});
  const std::vector<PromptText> prompts = {
      {"<|user|>hi",
       4,
       {nlohmann::ordered_json::parse(R"([{"role": "user", "content": "hi"}])"), nullptr}}};
  Told told;
  AnswerLines lines(&tokenizer, prompts, told, {0, 1});
  lines.add({{0, {0}, true, {}}});
  EXPECT_EQ(told.written,
            R"({"messages":[{"role":"user","content":"hi"}],"completion":"a","tokens":[0],)"
            R"("finish_reason":"stop"})"
            "\n");
}

TEST(Answers, AreLinesInThePromptsOrder) {
  const Bytes tokenizer({"a", "b\xC3", "END", "c"});
  std::vector<PromptText> prompts = {{"one", 4}, {"two", 4}};
  prompts[0].stop = prompts[1].stop = {"END"};
  ::testing::internal::CaptureStdout();
  ResultStream output({});
  AnswerLines lines(&tokenizer, prompts, output, {0, 2});
  lines.add({{1, {0, 2}, true, {}}});
  lines.add({{0, {0, 1}, false, {{{0, -0.5f}, {3, -0.25f}}, {{1, -1.5f}, {1, -1.5f}}}}});
  EXPECT_EQ(::testing::internal::GetCapturedStdout(),
            R"({"prompt":"one","completion":"ab�","tokens":[0,1],"finish_reason":"length",)"
            R"("logprobs":{"content":[{"token":"a","id":0,"logprob":-0.5,"top_logprobs":)"
            R"([{"token":"c","id":3,"logprob":-0.25}]},{"token":"b�","id":1,"logprob":-1.5,)"
            R"("top_logprobs":[{"token":"b�","id":1,"logprob":-1.5}]}]}})"
            "\n"
            R"({"prompt":"two","completion":"a","tokens":[0,2],"finish_reason":"stop"})"
            "\n");
}

TEST(Answers, SayWhyALineCouldNotBeRun) {
  const Bytes tokenizer({"a"});
  std::vector<PromptText> prompts = {{"one", 1}, {"", 1}, {"three", 1}, {"", 1}};
  prompts[1].line = 3;
  prompts[1].error = "no \"prompt\"";
  prompts[3].line = 7;
  prompts[3].id = "\"x\"";
  prompts[3].error = "bad";
  Told told;
  AnswerLines lines(&tokenizer, prompts, told, {0, 4});
  lines.begin({});
  EXPECT_EQ(told.written, "") << "the first line is not there yet";
  lines.add({{0, {0}, false, {}}});
  const std::string first =
      R"({"prompt":"one","completion":"a","tokens":[0],"finish_reason":"length"})"
      "\n"
      R"({"line":3,"error":"no \"prompt\""})"
      "\n";
  EXPECT_EQ(told.written, first);
  lines.add({{2, {0}, false, {}}});
  EXPECT_EQ(told.written.substr(first.size()),
            R"({"prompt":"three","completion":"a","tokens":[0],"finish_reason":"length"})"
            "\n"
            R"({"id":"x","line":7,"error":"bad"})"
            "\n");
  EXPECT_EQ(told.kept, "") << "what can be found out again need not be kept";
}

TEST(Answers, ThatWaitForOthersAreKeptOnce) {
  const Bytes tokenizer({"a"});
  const std::vector<PromptText> prompts = {{"one", 1}, {"two", 1}, {"three", 1}};
  Told told;
  AnswerLines lines(&tokenizer, prompts, told, {0, 3});
  lines.begin({{2, "{\"prompt\":\"three\",of an earlier run}\n"}});
  lines.add({{1, {0}, false, {}}});
  EXPECT_THAT(told.kept, ::testing::StartsWith("1 {\"prompt\":\"two\",")) << told.kept;
  const std::string kept = told.kept;
  lines.add({{0, {0}, false, {}}});
  EXPECT_EQ(told.kept, kept);
  EXPECT_EQ(lines.given(), 3u);
  EXPECT_THAT(told.written, ::testing::EndsWith("{\"prompt\":\"three\",of an earlier run}\n"));
}

}  // namespace
}  // namespace initrt
