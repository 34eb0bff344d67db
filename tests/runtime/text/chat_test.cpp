#include "runtime/text/chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

constexpr std::string_view kHeaders =
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

Conversation conversation(const char* messages) { return {Json::parse(messages), nullptr}; }

ChatTemplate chat(std::string_view source, Json arguments = Json::object()) {
  return {source, {{{"bos_token", "<s>"}, {"eos_token", "</s>"}}, std::move(arguments), {}}};
}

std::string error_of(std::string_view source, const char* messages) {
  try {
    return "no error, but: " + chat(source).render(conversation(messages));
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Chat, ConversationsAreWrittenUpToWhereTheAnswerBegins) {
  EXPECT_EQ(chat(kHeaders).render(conversation(R"([{"role": "user", "content": "Hi"}])")),
            "<s><user>Hi</s>\n<assistant>");
}

TEST(Chat, TemplatesAreGivenToolsAndArgumentsInTheirOrder) {
  const ChatTemplate made = chat("{{ tools | tojson }}{{ think }}{{ bos_token }}",
                                 {{"think", false}, {"bos_token", "own"}});
  const Conversation asked{Json::parse(R"([{"role": "user"}])"),
                           Json::parse(R"([{"type": "function", "function": {"name": "f"}}])")};
  EXPECT_EQ(made.render(asked), R"([{"type": "function", "function": {"name": "f"}}])"
                                "Falseown");
}

TEST(Chat, MembersThatAreNullAreNotThereAndReasoningHasAllItsNames) {
  const char* const messages =
      R"([{"role": "assistant", "content": null, "reasoning": "why"}, {"role": "user"}])";
  EXPECT_EQ(chat("{{ messages[0] | tojson }}").render(conversation(messages)),
            R"({"role": "assistant", "reasoning": "why", "thinking": "why", )"
            R"("reasoning_content": "why"})");
}

TEST(Chat, WhatEndsAnAnswerIsWhatTheTemplateWritesAfterIt) {
  EXPECT_EQ(chat(kHeaders).after_answer(), "</s>\n");
  EXPECT_EQ(chat("{{ messages[0].content }}").after_answer(), "");
  EXPECT_EQ(chat("{{ raise_exception('no') }}").after_answer(), "");
  EXPECT_EQ(chat("{% for m in messages %}{{ m.content | trim }}{% if m.role == 'assistant' %}"
                 "<end>{% endif %}{% endfor %}")
                .after_answer(),
            "<end>");
}

TEST(Chat, ConversationsWithNothingToAnswerAreErrors) {
  EXPECT_EQ(error_of(kHeaders, "[]"), "the conversation has no message");
  EXPECT_EQ(error_of(kHeaders, R"([{"role": "assistant", "content": "Hi"}])"),
            "the conversation ends with an answer of the assistant: there is nothing to answer");
  EXPECT_EQ(error_of("\n{{ raise_exception('no system') }}", R"([{"role": "user"}])"),
            "line 2: the template refuses: \"no system\"");
  EXPECT_THAT(error_of("{{", "[]"), HasSubstr("line 1"));
}

}  // namespace
}  // namespace initrt
