// Where a model's chat templates are found, and which one a conversation gets.
#include "runtime/start/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sharding/errors.h"
#include "tests/sharding/memory_files.h"
#include "tests/support/small_sentencepiece.h"

namespace initrt {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

// Writes eos_token after each message; `mark` tells one from another.
std::string marked(const std::string& mark) {
  return mark +
         "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}\n{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|>{% endif %}";
}

const std::string kAsked = "<|user|>Hi</s>\n<|assistant|>";

Conversation hi() {
  return {nlohmann::ordered_json::parse(R"([{"role": "user", "content": "Hi"}])"), nullptr};
}

// A model of files m/*, and a SentencePiece tokenizer whose EOS is </s>, id 2.
struct Chat {
  testing::MemoryFiles files;
  ModelOptions options;
  OpenModel model;
  OpenText text;
  ChatTemplateOptions wanted;
  Conversation conversation = hi();
  std::vector<TokenId> end_tokens;

  Chat() {
    options.path = "m.gguf";
    files.content["m/tokenizer.model"] = testing::SmallSentencePiece().model();
    options.tokenizer = "m/tokenizer.model";
    model.config = json::object();
    model.catalog.metadata = json::object();
    text = open_text(files, options, model);
  }

  void config(const json& content) { files.content["m/tokenizer_config.json"] = content.dump(); }
  // What became of the conversation.
  std::string asked() {
    ChatTemplates templates(files, options, model, text, wanted);
    std::string prompt = templates.render(conversation);
    end_tokens = templates.end_tokens(*text.tokenizer);
    return prompt;
  }
  std::string error() {
    return error_of([&] { (void)asked(); });
  }
};

TEST(ChatTemplateOfAModel, GivesAConversationItsTextAndTheAnswerItsEnd) {
  Chat chat;
  chat.config({{"chat_template", marked("")}, {"eos_token", "</s>"}});
  EXPECT_EQ(chat.asked(), kAsked);
  EXPECT_THAT(chat.end_tokens, ElementsAre(2));
}

TEST(ChatTemplateOfAModel, EndsAnswersWithNoTokenThatIsPlainText) {
  Chat chat;
  chat.config({{"chat_template", "{% for m in messages %}{{ m.content }} and{% endfor %}"}});
  (void)chat.asked();
  EXPECT_TRUE(chat.end_tokens.empty());
}

TEST(ChatTemplateOfAModel, IsOfAListTheDefaultOneAndForToolsTheOneForTools) {
  Chat chat;
  const json tools = {{"name", "tool_use"}, {"template", marked("tools")}};
  chat.config({{"chat_template", {tools, {{"name", "default"}, {"template", marked("")}}}},
               {"eos_token", {{"content", "</s>"}, {"lstrip", false}}}});
  EXPECT_EQ(chat.asked(), kAsked);
  chat.conversation.tools = nlohmann::ordered_json::parse(R"([{"name": "f"}])");
  EXPECT_EQ(chat.asked(), "tools" + kAsked);
  chat.config({{"chat_template", {tools, 3, {{"name", "default"}}}}});
  EXPECT_EQ(chat.error(),
            "m/tokenizer_config.json: chat_template is neither a string nor a list of objects with "
            "a \"name\" and a \"template\"");
  chat.config({{"chat_template", {{{"name", "rag"}, {"template", ""}}}}});
  EXPECT_EQ(chat.error(),
            "m/tokenizer_config.json: none of the model's chat templates is named "
            "\"default\": choose one by generate.chat_template");
}

TEST(ChatTemplateOfAModel, MayBeChosenByItsNameOrBeAFile) {
  Chat chat;
  chat.files.content["m/chat_template.jinja"] = marked("default");
  chat.files.content["m/additional_chat_templates/rag.jinja"] = marked("rag");
  chat.files.content["own/mine.jinja"] = marked("mine");
  chat.config({{"eos_token", "</s>"}});
  EXPECT_EQ(chat.asked(), "default" + kAsked);
  chat.wanted.name = "here/rag";
  EXPECT_EQ(chat.asked(), "rag" + kAsked);
  chat.wanted.name = "own/mine.jinja";
  EXPECT_EQ(chat.asked(), "mine" + kAsked);
  chat.wanted.name = "own/none";
  EXPECT_EQ(chat.error(),
            "generate.chat_template: \"own/none\" is neither a file nor one of the model's "
            "templates (default, rag)");
}

TEST(ChatTemplateOfAModel, IsGivenArgumentsAndTheDate) {
  Chat chat;
  chat.config({{"chat_template", "{{ think }}{{ strftime_now('%d %b %Y %H:%M %A') }}"}});
  EXPECT_EQ(chat.error(),
            "m/tokenizer_config.json: chat template: line 1: 'strftime_now' is undefined:"
            " it asks for the time, which generate.date gives");
  chat.wanted.arguments["think"] = false;
  chat.wanted.date = "2025-01-31";
  EXPECT_EQ(chat.asked(), "False31 Jan 2025 00:00 Friday");
  chat.wanted.date = "2025-01-31 23:05";
  EXPECT_EQ(chat.asked(), "False31 Jan 2025 23:05 Friday");
  for (const char* date : {"2025-02-30", "today", "2025-01-31 25:00", "2025-01-31x", "2025-1"}) {
    chat.wanted.date = date;
    EXPECT_THAT(chat.error(), HasSubstr("expected a day such as 2025-01-31")) << date;
  }
}

TEST(ChatTemplateOfAModel, IsFoundInTheOrderOfTheReference) {
  Chat chat;
  chat.files.content["m/special_tokens_map.json"] = R"({"eos_token": {"content": "</s>"}})";
  EXPECT_THAT(chat.error(), HasSubstr("m/tokenizer.model: no chat template: neither"));
  chat.files.content["m/chat_template.json"] = json({{"chat_template", marked("json")}}).dump();
  EXPECT_EQ(chat.asked(), "json" + kAsked);
  chat.config({{"chat_template", "\n{{ unknown }"}, {"eos_token", nullptr}});
  EXPECT_EQ(chat.error(), "m/tokenizer_config.json: chat template: line 2: unexpected '}'");
  chat.files.content["m/chat_template.jinja"] = marked("jinja");
  EXPECT_EQ(chat.asked(), "jinja" + kAsked);
  chat.files.content["m/chat_template.jinja"] = std::string(jinja::kMaxSourceBytes + 1, ' ');
  EXPECT_THAT(chat.error(), HasSubstr("m/chat_template.jinja"));
}

TEST(ChatTemplateOfAModel, IsInTheMetadataWhereTheTokenizerIs) {
  Chat chat;
  chat.text.file.clear();
  EXPECT_THAT(chat.error(), HasSubstr("m.gguf: no chat template: neither"));
  chat.model.catalog.metadata = {{"tokenizer.chat_template", marked("")},
                                 {"tokenizer.chat_template.tool_use", marked("tools")},
                                 {"tokenizer.chat_templates", {"tool_use"}},
                                 {"tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>"}},
                                 {"tokenizer.ggml.eos_token_id", 2u}};
  EXPECT_EQ(chat.asked(), kAsked);
  chat.conversation.tools = nlohmann::ordered_json::parse(R"([{"name": "f"}])");
  EXPECT_EQ(chat.asked(), "tools" + kAsked);
}

}  // namespace
}  // namespace initrt
