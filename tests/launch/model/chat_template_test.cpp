// Where the chat template is found, and what it makes of a job's prompts.
#include "launch/model/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/error.h"
#include "tests/sharding/memory_files.h"
#include "tests/support/small_sentencepiece.h"

namespace initrt {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Zephyr's, which writes eos_token; `mark` tells one from another.
std::string zephyr(const std::string& mark) {
  std::string source = "{# " + mark + " #}{% for message in messages %}";
  for (const char* role : {"user", "system", "assistant"}) {
    source += std::string("{{ '<|") + role + "|>\n' + message['content'] + eos_token + '\n' }}";
    source += "{% elif %}";
  }
  return source + "{{ '<|assistant|>\n' }}";
}

constexpr std::string_view kAsked = "<|user|>\nHi</s>\n<|assistant|>\n";

// A model of files m/*, and a SentencePiece tokenizer whose EOS is </s>, id 2.
struct Chat {
  testing::MemoryFiles files;
  Job job;
  OpenModel model;
  OpenText text;
  std::vector<PromptText> prompts = {{"plain", 1}, {"", 1, {{"user", "Hi"}}}};

  Chat() {
    job.model = "m.gguf";
    files.content["m/tokenizer.model"] = testing::SmallSentencePiece().model();
    job.tokenizer = text.file = "m/tokenizer.model";
    model.config = json::object();
    model.catalog.metadata = json::object();
    text = open_text(files, job, model);
    text.end_tokens.clear();
  }

  void config(const json& content) { files.content["m/tokenizer_config.json"] = content.dump(); }
  void apply() { apply_chat_template(files, model, job, text, prompts); }
  // What became of the conversation.
  std::string asked() {
    apply();
    return prompts.at(1).text;
  }
  std::string error() {
    try {
      apply();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
};

TEST(ChatTemplateOfAModel, GivesConversationsTheirTextAndAnswersTheirEnd) {
  Chat chat;
  chat.config({{"chat_template", zephyr("")}, {"eos_token", "</s>"}});
  chat.apply();
  EXPECT_EQ(chat.prompts[0].text, "plain");
  EXPECT_EQ(chat.prompts[1].text, kAsked);
  EXPECT_THAT(chat.text.end_tokens, ElementsAre(2));
  chat.apply();
  EXPECT_THAT(chat.text.end_tokens, ElementsAre(2)) << "named twice";
}

TEST(ChatTemplateOfAModel, IsNotLookedForWithoutConversations) {
  Chat chat;
  chat.prompts.pop_back();
  EXPECT_EQ(chat.error(), "no error");
  EXPECT_TRUE(chat.text.end_tokens.empty());
}

TEST(ChatTemplateOfAModel, IsTheDefaultOneOfAList) {
  Chat chat;
  const json tools = {{"name", "tool_use"}, {"template", "{{ tools }}"}};
  chat.config({{"chat_template", {tools, {{"name", "default"}, {"template", zephyr("")}}}},
               {"eos_token", {{"content", "</s>"}, {"lstrip", false}}}});
  EXPECT_EQ(chat.asked(), kAsked);
  chat.config({{"chat_template", {tools, 3, {{"name", "default"}}}}});
  EXPECT_EQ(chat.error(),
            "m/tokenizer_config.json: chat_template is neither a string nor a list with one named "
            "\"default\"");
}

TEST(ChatTemplateOfAModel, IsFoundInTheOrderOfTheReference) {
  Chat chat;
  chat.files.content["m/special_tokens_map.json"] = R"({"eos_token": {"content": "</s>"}})";
  EXPECT_EQ(chat.error(),
            "m/tokenizer.model: no chat template beside it: neither chat_template.jinja nor a "
            "\"chat_template\" in tokenizer_config.json");
  chat.files.content["m/chat_template.json"] = json({{"chat_template", zephyr("")}}).dump();
  EXPECT_EQ(chat.asked(), kAsked);
  chat.config({{"chat_template", "{{ unknown }}"}, {"eos_token", nullptr}});
  EXPECT_THAT(chat.error(), AllOf(HasSubstr("m/tokenizer_config.json: the chat template"),
                                  HasSubstr("\"{{ unknown }}\"")));
  chat.files.content["m/chat_template.jinja"] = zephyr("");
  EXPECT_EQ(chat.asked(), kAsked);
  chat.files.content["m/chat_template.jinja"] = std::string(kMaxTemplateBytes + 1, ' ');
  EXPECT_THAT(chat.error(), HasSubstr("m/chat_template.jinja"));
}

TEST(ChatTemplateOfAModel, IsInTheMetadataWhereTheTokenizerIs) {
  Chat chat;
  chat.text.file.clear();
  EXPECT_EQ(chat.error(),
            "m.gguf: no chat template: its metadata has no text tokenizer.chat_template");
  chat.model.catalog.metadata = {{"tokenizer.chat_template", zephyr("")},
                                 {"tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>"}},
                                 {"tokenizer.ggml.eos_token_id", 2u}};
  EXPECT_EQ(chat.asked(), kAsked);
  chat.model.catalog.metadata["tokenizer.ggml.eos_token_id"] = 3u;
  EXPECT_THAT(chat.error(), AllOf(HasSubstr("m.gguf: "), HasSubstr("the EOS token")));
}

TEST(ChatTemplateOfAModel, BelongsToItsTokenizer) {
  Chat chat;
  chat.config({{"chat_template", zephyr("")}, {"eos_token", "<|end\n|>"}});
  EXPECT_EQ(chat.error(),
            "m/tokenizer_config.json: the Zephyr chat template ends a turn with \"<|end\\n|>\", "
            "which is no token of the tokenizer: do they belong together?");
}

TEST(ChatTemplateOfAModel, NamesThePromptThatItDoesNotTake) {
  Chat chat;
  chat.config({{"chat_template", zephyr("")}, {"eos_token", "</s>"}});
  chat.prompts[1].messages.push_back({"assistant", "Hello"});
  EXPECT_EQ(chat.error(),
            "prompt 1: the conversation ends with an answer of the assistant: there is nothing to "
            "answer");
}

}  // namespace
}  // namespace initrt
