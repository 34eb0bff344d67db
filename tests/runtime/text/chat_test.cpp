#include "runtime/text/chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "runtime/text/chat_skeleton.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const SpecialTexts kSpecial = {"<s>", "</s>"};

constexpr std::string_view kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}";
constexpr std::string_view kMistral =
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ message['content'] + eos_token}}{% else %}{{ raise_exception('no') }}{% endif %}"
    "{% endfor %}";
constexpr std::string_view kLlama2 =
    "{% set system_message = false %}{% for message in messages %}"
    "{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% if x %}"
    "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";
constexpr std::string_view kPhi3Asking =
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{'<|user|>\n' + message['content'] + '<|end|>\n<|assistant|>\n'}}{% else %}"
    "{{message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}";

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.what();
  }
  return "no error";
}

std::string recognise_error(std::string_view source, const SpecialTexts& special = kSpecial) {
  return error_of([&] { (void)recognise_chat_template(source, special); });
}

std::string render_error(std::string_view source, const std::vector<Message>& messages) {
  const ChatTemplate chat = recognise_chat_template(source, kSpecial);
  return error_of([&] { (void)render(chat, messages); });
}

std::string hello(std::string_view source) {
  const std::vector<Message> messages = {{"user", "Hello"}};
  return render(recognise_chat_template(source, kSpecial), messages);
}

TEST(Skeleton, WhiteSpaceAroundTagsIsTakenOutAsTransformersDoes) {
  // trim_blocks and lstrip_blocks: statements take the space before them on their line and the line
  // end behind them; output takes neither.
  EXPECT_EQ(skeleton_of("a\n  {% x %}\nb"), "{{'a\n'}}{%x%}{{'b'}}");
  EXPECT_EQ(skeleton_of("a  {% x %} \nb"), "{{'a  '}}{%x%}{{' \nb'}}");
  EXPECT_EQ(skeleton_of("  {% x %}{% y %}\n  {% z %}"), "{%x%}{%y%}{%z%}");
  EXPECT_EQ(skeleton_of("  {{ x }}\n  {% y %}"), "{{'  '+x+'\n'}}{%y%}");
  EXPECT_EQ(skeleton_of("{{ x }}  {% y %}"), "{{x+'  '}}{%y%}");
  // Signs.
  EXPECT_EQ(skeleton_of("a \n {%- x -%} \n b"), "{{'a'}}{%x%}{{'b'}}");
  EXPECT_EQ(skeleton_of("a \n {{- x -}} \n b"), "{{'a'+x+'b'}}");
  EXPECT_EQ(skeleton_of("a\n  {%+ x +%}\nb"), "{{'a\n  '}}{%x%}{{'\nb'}}");
  EXPECT_EQ(skeleton_of("{%- x -%}\n  {% y %}"), "{%x%}{%y%}");
  // Comments are statements that write nothing, and the last line end is none.
  EXPECT_EQ(skeleton_of("a\n  {# {{ x }} #}\nb\n"), "{{'a\nb'}}");
  EXPECT_EQ(skeleton_of("a {#- x -#} b\r\n\n"), "{{'ab\n'}}");
  EXPECT_EQ(skeleton_of(""), "");
  EXPECT_EQ(skeleton_of("{"), "{{'{'}}");
}

TEST(Skeleton, SpellingsOfTheSameExpressionAreOne) {
  const std::string wanted = "{{'<|'+message['role']+'|>\n'+message['content']|trim+'it\\'s'}}";
  EXPECT_EQ(
      skeleton_of(R"({{ '<|' + message['role'] + '|>\n' + message['content']|trim + 'it\'s' }})"),
      wanted);
  EXPECT_EQ(
      skeleton_of(R"({{- "<|"~message.role~"|>" + "\n" -}}{{message.content.strip()+"it's"}})"),
      wanted);
  EXPECT_EQ(skeleton_of("<|{{message.role}}|>\n{{message.content | trim}}it's"), wanted);
  EXPECT_EQ(skeleton_of("{% if  a\n  is not   b %}"), "{%if a is not b%}");
  EXPECT_EQ(skeleton_of("{{ a.roles + b.content_type }}"), "{{a.roles+b.content_type}}");
  EXPECT_EQ(skeleton_of(R"({{ '}}' + "%}" }})"), "{{'}}%}'}}");
  EXPECT_EQ(unescaped(R"(it\'s \\n)"), R"(it's \n)");
}

TEST(Skeleton, ATagOrAStringThatIsNotClosedIsNamedWithItsByte) {
  EXPECT_EQ(error_of([] { (void)skeleton_of("ab{{ x }"); }), "the tag at byte 2 is not closed");
  EXPECT_EQ(error_of([] { (void)skeleton_of("{#"); }), "the tag at byte 0 is not closed");
  EXPECT_EQ(error_of([] { (void)skeleton_of("{%-"); }), "the tag at byte 0 is not closed");
  EXPECT_EQ(error_of([] { (void)skeleton_of("{{ 'x }}"); }), "the string at byte 3 is not closed");
  EXPECT_EQ(error_of([] { (void)skeleton_of("{{ '\\"); }), "the string at byte 3 is not closed");
}

TEST(ChatTemplate, IsRecognisedWhateverItsSpelling) {
  const std::string wanted = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(hello(kChatMl), wanted);
  EXPECT_EQ(hello(R"(
{%- for message in messages -%}
    {{- "<|im_start|>" ~ message.role ~ "\n" ~ message.content ~ "<|im_end|>\n" -}}
{%- endfor -%}
{%- if add_generation_prompt %}{# the answer #}
    {{- "<|im_start|>assistant\n" -}}
{%- endif -%}
)"),
            wanted);
  EXPECT_EQ(hello("{% for message in messages %}\n<|im_start|>{{ message.role }}\n"
                  "{{ message.content }}<|im_end|>\n{% endfor %}\n{% if add_generation_prompt %}\n"
                  "<|im_start|>assistant\n{% endif %}"),
            wanted);
}

TEST(ChatTemplate, HasItsOwnStandingSystemMessage) {
  const std::string source =
      "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nIt\\'s you: \\\\o/"
      "<|im_end|>\n' }}{% endif %}" +
      std::string(kChatMl);
  EXPECT_THAT(hello(source),
              ::testing::StartsWith("<|im_start|>system\nIt's you: \\o/<|im_end|>\n<|im_start|>u"));
  const std::vector<Message> own = {{"system", "Mine."}, {"user", "Hello"}};
  EXPECT_THAT(render(recognise_chat_template(source, kSpecial), own),
              ::testing::StartsWith("<|im_start|>system\nMine.<|im_end|>\n<|im_start|>user"));
}

// A quote inside a constant begins none; and a template full of them is read in one pass.
TEST(ChatTemplate, TakesNoStandingSystemMessageFromTheMiddleOfAConstant) {
  std::string source = R"({% set x = ')";
  for (int i = 0; i < 30'000; ++i) source += R"(\'<|im_start|>system\n)";
  source += R"(No.<|im_end|>\n' %})";
  EXPECT_THAT(hello(source + std::string(kChatMl)),
              ::testing::Not(HasSubstr("<|im_start|>system")));
}

TEST(ChatTemplate, ThatIsNotKnownIsQuotedInTheError) {
  EXPECT_THAT(recognise_error("{{ bos_token }}{% for m in messages %}\n### {{ m.role }}"),
              AllOf(HasSubstr(R"("{{ bos_token }}{% for m in messages %}\n### {{ m.role }}")"),
                    HasSubstr("none of those known"), HasSubstr("ChatML")));
  EXPECT_THAT(recognise_error(""), HasSubstr("none of those known"));
  EXPECT_THAT(recognise_error("\x1b[2J\xff" + std::string(500, 'x')),
              AllOf(Not(HasSubstr("\x1b")), HasSubstr("...")));
  EXPECT_THAT(recognise_error("{% for x in y"),
              AllOf(HasSubstr("the tag at byte 0 is not closed"), HasSubstr("for x in y")));
}

TEST(ChatTemplate, ThatDiffersFromAKnownOneInWhatItWritesIsNotTakenForIt) {
  const auto changed = [](std::string_view source, std::string_view from, std::string_view to) {
    std::string text(source);
    text.replace(text.find(from), from.size(), to);
    return recognise_error(text);
  };
  const auto unknown = HasSubstr("none of those known");
  EXPECT_THAT(changed(kChatMl, "message['content']", "message['content'] | trim"), unknown);
  EXPECT_THAT(changed(kChatMl, "assistant\\n", "assistant\\n<think>\\n"), unknown);
  EXPECT_THAT(changed(kChatMl, "'<|im_end|>' + '\\n'", "'<|im_end|>'"), unknown);
  EXPECT_THAT(changed(kChatMl, "{{'<|im_start|>'", "{{ raise_exception('x') }}{{'<|im_start|>'"),
              unknown);
  EXPECT_THAT(changed(kMistral, "'[INST] '", "'[INST]'"), unknown);
  EXPECT_THAT(changed(kMistral, "{{ bos_token }}", ""), unknown);
  EXPECT_THAT(changed(kMistral, " + eos_token", ""), unknown);
  EXPECT_THAT(changed(kLlama2, "= false", "= 'A standing one.'"), unknown);
  EXPECT_EQ(recognise_error(kLlama2), "no error");
}

TEST(ChatTemplate, LargerThanTheLimitIsNotRead) {
  const std::string at_limit = std::string(kChatMl) + std::string(kMaxTemplateBytes, ' ');
  EXPECT_THAT(recognise_error(at_limit), HasSubstr("at most 1048576 are read"));
  EXPECT_THAT(recognise_error(std::string(kMaxTemplateBytes, '\'')), HasSubstr("none of those"));
}

TEST(ChatTemplate, NeedsTheTextsOfTheTokensThatItWrites) {
  EXPECT_THAT(recognise_error(kMistral, {std::nullopt, "</s>"}), HasSubstr("writes the BOS token"));
  EXPECT_THAT(recognise_error(kMistral, {"<s>", std::nullopt}), HasSubstr("writes the EOS token"));
  EXPECT_EQ(recognise_error(kChatMl, {}), "no error");
}

TEST(ChatTemplate, SaysWhatEndsAnAnswer) {
  EXPECT_EQ(recognise_chat_template(kChatMl, kSpecial).turn_end, "<|im_end|>");
  EXPECT_EQ(recognise_chat_template(kMistral, kSpecial).turn_end, "</s>");
  EXPECT_EQ(recognise_chat_template(kPhi3Asking, kSpecial).turn_end, "<|end|>");
}

TEST(Conversation, ThatNoTemplateTakesIsAnError) {
  EXPECT_EQ(render_error(kChatMl, {}), "the conversation has no message");
  EXPECT_THAT(render_error(kChatMl, {{"user", "a"}, {"assistant", "b"}}),
              HasSubstr("ends with an answer"));
  EXPECT_THAT(render_error(kChatMl, {{"user", "a"}, {"to\nol", "b"}}),
              HasSubstr(R"(messages[1] has the role "to\nol", expected "system", "user" or)"));
}

TEST(Conversation, OutOfTheTemplatesOrderIsAnErrorThatNamesTheMessage) {
  EXPECT_EQ(
      render_error(kMistral, {{"user", "a"}, {"user", "b"}}),
      "messages[1] is the user's, expected the assistant's: in the Mistral chat template, user "
      "and assistant alternate");
  EXPECT_EQ(render_error(kMistral, {{"system", "s"}, {"user", "a"}}),
            "the Mistral chat template of this model has no system messages");
  EXPECT_EQ(render_error(kPhi3Asking, {{"system", "s"}, {"user", "a"}}),
            "the Phi-3 chat template of this model has no system messages");
}

}  // namespace
}  // namespace initrt
