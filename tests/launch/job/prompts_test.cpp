#include "launch/job/prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/storage/local_files.h"
#include "runtime/text/sentencepiece.h"
#include "sharding/error.h"
#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"
#include "tests/support/small_sentencepiece.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

std::vector<std::string> texts_of(const std::vector<PromptText>& prompts) {
  std::vector<std::string> texts;
  for (const PromptText& prompt : prompts) texts.push_back(prompt.text);
  return texts;
}

TEST(Prompts, ComeFromOneKeyOrTheOther) {
  LocalFiles files;
  Job job;
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }),
              HasSubstr("no prompt: set generate.prompt"));
  job.generate.prompt = "";
  EXPECT_THAT(texts_of(read_prompts(files, job)), ElementsAre(""));
  job.generate.prompt = "one";
  EXPECT_THAT(texts_of(read_prompts(files, job)), ElementsAre("one"));
  job.generate.prompts.texts = {"a", "b"};
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }), HasSubstr("both"));
  job.generate.prompt = "";  // takes back the one of a job's file
  EXPECT_THAT(texts_of(read_prompts(files, job)), ElementsAre("a", "b"));
  EXPECT_EQ(read_prompts(files, job)[1].max_new_tokens, job.generate.max_new_tokens);
}

TEST(Prompts, OfAChatAreUsersMessagesAfterTheSystemsOne) {
  LocalFiles files;
  Job job;
  job.generate.prompts.texts = {"a", "b"};
  job.generate.system = "s";
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }),
              HasSubstr("generate.system is set, but no prompt is a conversation"));
  job.generate.chat = true;
  const auto messages = [&](std::size_t prompt) {
    return read_prompts(files, job).at(prompt).conversation.messages.dump();
  };
  EXPECT_EQ(messages(1), R"([{"role":"system","content":"s"},{"role":"user","content":"b"}])");
  job.generate.system.clear();
  EXPECT_EQ(messages(1), R"([{"role":"user","content":"b"}])");
}

TEST(Prompts, ConversationsHaveTheJobsToolsUnlessTheyBringTheirOwn) {
  testing::MemoryFiles files;
  files.content["p.jsonl"] =
      R"({"messages": [{"role": "user", "content": "a"}], "tools": [{"name": "own"}]}
{"messages": [{"role": "user", "content": "b"}]})";
  Job job;
  job.generate.prompts.path = "p.jsonl";
  job.generate.tools = nlohmann::ordered_json::parse(R"([{"name": "job's"}])");
  const std::vector<PromptText> prompts = read_prompts(files, job);
  EXPECT_EQ(prompts.at(0).conversation.tools.dump(), R"([{"name":"own"}])");
  EXPECT_EQ(prompts.at(1).conversation.tools.dump(), R"([{"name":"job's"}])");
  job.generate.prompts = {{"plain"}, ""};
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }),
              HasSubstr("generate.tools is set, but no prompt is a conversation"));
}

TEST(Prompts, AConversationKeepsTheSystemMessageThatItHas) {
  LocalFiles files;
  Job job;
  job.generate.messages = nlohmann::ordered_json::parse(
      R"([{"role": "system", "content": "own"}, {"role": "user", "content": "a"}])");
  job.generate.system = "s";
  EXPECT_EQ(read_prompts(files, job).at(0).conversation.messages, job.generate.messages);
  job.generate.messages.erase(job.generate.messages.begin());
  EXPECT_EQ(read_prompts(files, job).at(0).conversation.messages.dump(),
            R"([{"role":"system","content":"s"},{"role":"user","content":"a"}])");
  job.generate.prompt = "p";
  EXPECT_THAT(error_of([&] { (void)read_prompts(files, job); }),
              HasSubstr("both generate.messages and generate.prompt are set"));
}

TEST(Prompts, AnEmptyOneIsWhatTheTokenizerBeginsWith) {
  const auto none = make_tokenizer(nlohmann::json::parse(R"({
    "added_tokens": [], "normalizer": null, "post_processor": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                      "use_regex": true},
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": true},
    "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}
  })"));
  std::vector<PromptText> texts = {{"a", 1}, {"", 1}};
  EXPECT_EQ(error_of([&] { (void)tokenize(*none, texts, 10); }),
            "prompt 1 is empty: there is nothing to go on from, since the tokenizer begins no text "
            "with a token of its own (BOS)");
  const auto first = make_sentencepiece_tokenizer(testing::SmallSentencePiece().model());
  texts = {{"", 1}};
  EXPECT_THAT(tokenize(*first, texts, 10).at(0).tokens, ElementsAre(1));
}

TEST(Prompts, TokensBeyondTheModelsVocabularyAreNamedWithTheirPrompt) {
  class TwoTokens final : public Tokenizer {
    std::vector<TokenId> encode(std::string_view text) const override {
      return {text == "big" ? 10 : 9};
    }
    std::vector<TokenId> encode_bare(std::string_view) const override { return {8}; }
    std::string token_bytes(TokenId) const override { return ""; }
    std::size_t vocabulary() const override { return 11; }
  };
  const auto messages = nlohmann::ordered_json::parse(R"([{"role": "user", "content": "u"}])");
  std::vector<PromptText> good = {{"small", 1}, {"small", 1}};
  std::vector<PromptText> chat = {{"chat", 1, {messages, nullptr}}};
  std::vector<PromptText> bad = {{"small", 1}, {"big", 1}};
  EXPECT_EQ(tokenize(TwoTokens(), good, 10).size(), 2u);
  EXPECT_THAT(tokenize(TwoTokens(), chat, 10).at(0).tokens, ElementsAre(8))
      << "a chat template's text has its special tokens";
  EXPECT_THAT(error_of([&] { (void)tokenize(TwoTokens(), bad, 10); }),
              ::testing::AllOf(HasSubstr("prompt 1"), HasSubstr("token 10")));
  bad[1].line = 4;  // of a file: only this one's result says so
  EXPECT_EQ(tokenize(TwoTokens(), bad, 10).size(), 1u);
  EXPECT_THAT(bad[1].error, ::testing::AllOf(HasSubstr("line 4"), HasSubstr("token 10")));
}

// A model of files m/*, and a SentencePiece tokenizer whose EOS is </s>, id 2.
struct Chat {
  testing::MemoryFiles files;
  Job job;
  OpenModel model;
  OpenText text;
  std::vector<PromptText> prompts = {{"plain", 1}, {"", 1}};

  Chat() {
    text.file = "m/tokenizer.model";
    text.tokenizer = make_sentencepiece_tokenizer(testing::SmallSentencePiece().model());
    files.content["m/tokenizer_config.json"] = R"({"eos_token": "</s>", "chat_template":
      "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"})";
    prompts[1].conversation.messages =
        nlohmann::ordered_json::parse(R"([{"role": "user", "content": "Hi"}])");
  }
  void apply() { apply_chat_template(files, model, job, text, prompts); }
};

TEST(ChatOfAJob, GivesConversationsTheirTextAndAnswersTheirEnd) {
  Chat chat;
  for (int i = 0; i < 2; ++i) {
    chat.apply();
    EXPECT_EQ(chat.prompts[0].text, "plain");
    EXPECT_EQ(chat.prompts[1].text, "Hi</s>");
    EXPECT_THAT(chat.text.end_tokens, ElementsAre(2)) << "named once";
  }
}

TEST(ChatOfAJob, LooksForNoTemplateWithoutConversations) {
  Chat chat;
  chat.files.content.clear();
  chat.prompts.pop_back();
  chat.apply();
  EXPECT_TRUE(chat.text.end_tokens.empty());
}

TEST(ChatOfAJob, NamesThePromptThatTheTemplateDoesNotTake) {
  Chat chat;
  chat.prompts[1].conversation.messages.push_back({{"role", "assistant"}, {"content", "Hello"}});
  EXPECT_EQ(error_of([&] { chat.apply(); }),
            "prompt 1: m/tokenizer_config.json: chat template: the conversation ends with an "
            "answer of the assistant: there is nothing to answer");
}

}  // namespace
}  // namespace initrt
