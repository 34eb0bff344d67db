// The templates whose users and assistants take turns, and that have no turn of the system: its
// message goes into a user's, where the template has it at all. Formats are those of the models
// named, from their tokenizer_config.json.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "runtime/text/chat_kinds.h"
#include "sharding/error.h"

namespace initrt {
namespace {

enum class System : std::uint8_t { Refused, First, Last };  ///< in which of the user's messages

struct Turn {
  std::string open, close;
  bool trims = false;  ///< the content is written without white space around it
};

struct Alternating {
  std::string bos;
  Turn user, assistant;
  System system = System::Refused;
  Turn system_part;          ///< around the system message, in front of the user's content
  bool trims_whole = false;  ///< white space is taken off both together
  std::string prompt;        ///< what opens the answer
};

// The messages after the system's, checked to alternate.
std::span<const Message> turns_of(std::span<const Message> messages, System system,
                                  std::string_view name) {
  const bool has_system = messages.front().role == "system";
  if (has_system && system == System::Refused) {
    fail("the {} chat template of this model has no system messages", name);
  }
  const std::size_t skipped = has_system ? 1 : 0;
  if (messages.size() == skipped) fail("the conversation has no message but the system's");
  for (std::size_t i = skipped; i < messages.size(); ++i) {
    const std::string_view expected = (i - skipped) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role == expected) continue;
    fail(
        "messages[{}] is the {}'s, expected the {}'s: in the {} chat template, user and assistant "
        "alternate{}",
        i, messages[i].role, expected, name,
        system == System::Refused ? "" : " after an optional system message");
  }
  return messages.subspan(skipped);
}

std::string write_alternating(const Alternating& chat, std::string_view name,
                              std::span<const Message> messages) {
  const std::span<const Message> turns = turns_of(messages, chat.system, name);
  const bool has_system = turns.size() < messages.size();
  const std::size_t system_turn = chat.system == System::Last ? turns.size() - 1 : 0;
  std::string text = chat.bos;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const Turn& turn = turns[i].role == "user" ? chat.user : chat.assistant;
    std::string content(turn.trims ? trimmed(turns[i].content) : turns[i].content);
    if (has_system && i == system_turn) {
      const std::string& system = messages.front().content;
      content = chat.system_part.open + system + chat.system_part.close +
                (chat.trims_whole ? turns[i].content : content);
      if (chat.trims_whole) content = trimmed(content);
    }
    text.append(turn.open).append(content).append(turn.close);
  }
  return text + chat.prompt;
}

ChatTemplate make(std::string_view name, std::string turn_end, Alternating chat) {
  return {name, std::move(turn_end),
          [name, chat = std::move(chat)](std::span<const Message> messages) {
            return write_alternating(chat, name, messages);
          }};
}

// Whether a conversation without a system message gets one: of no kind here.
bool has_standing_system(const TemplateSource& source) {
  return source.has("set system_message='");
}

// Llama 2 and Code Llama: BOS opens every question.
std::optional<ChatTemplate> llama2(const TemplateSource& source) {
  const bool known = source.has_all(
      {"{{bos_token+'[INST] '+content|trim+' [/INST]'}}", "{{' '+content|trim+' '+eos_token}}",
       "set content='<<SYS>>\n'+system_message+'\n<</SYS>>\n\n'+message['content']"});
  if (!known || has_standing_system(source)) return {};
  Alternating chat;
  chat.user = {source.bos() + "[INST] ", " [/INST]", true};
  chat.assistant = {" ", " " + source.eos(), true};
  chat.system = System::First;
  chat.system_part = {"<<SYS>>\n", "\n<</SYS>>\n\n"};
  chat.trims_whole = true;
  return make("Llama 2", source.eos(), std::move(chat));
}

// Mistral 7B Instruct v0.1 and v0.2 and Mixtral 8x7B as first published; the same with a system
// message; v0.3; Nemo. They differ in their spaces, and each has others around its answers.
std::optional<ChatTemplate> mistral(const TemplateSource& source) {
  struct Question {
    std::string_view open, close;
    System system;
  };
  constexpr std::array<Question, 4> kQuestions{{{" [INST] ", " [/INST]", System::First},
                                                {"[INST] ", " [/INST]", System::Refused},
                                                {"[INST] ", "[/INST]", System::Last},
                                                {"[INST]", "[/INST]", System::Last}}};
  const auto written = [&](const Question& question) {
    const auto around = [&](std::string_view content) {
      return fmt::format("{{{{'{}'+{}+'{}'}}}}", question.open, content, question.close);
    };
    return source.has(around("message['content']")) &&
           (question.system == System::Refused
                ? !source.has("system_message")
                : source.has(around("system_message+'\n\n'+message['content']")));
  };
  const auto* question = std::find_if(kQuestions.begin(), kQuestions.end(), written);
  if (question == kQuestions.end() || has_standing_system(source)) return {};

  struct Answers {
    std::string_view source, open, after_eos;
    bool trims;
  };
  constexpr std::array<Answers, 4> kAnswers{
      {{"{{message['content']+eos_token+' '}}", "", " ", false},
       {"{{message['content']+eos_token}}", "", "", false},
       {"{{' '+message['content']+eos_token}}", " ", "", false},
       {"{{' '+message['content']|trim+eos_token}}", " ", "", true}}};
  const auto* answers = std::find_if(kAnswers.begin(), kAnswers.end(), [&](const Answers& known) {
    return source.has(known.source);
  });
  if (answers == kAnswers.end() || !source.has("{{bos_token}}")) return {};

  Alternating chat;
  chat.bos = source.bos();
  chat.user = {std::string(question->open), std::string(question->close)};
  chat.assistant = {std::string(answers->open), source.eos() + std::string(answers->after_eos),
                    answers->trims};
  chat.system = question->system;
  chat.system_part.close = "\n\n";
  return make("Mistral", source.eos(), std::move(chat));
}

// Gemma 1 and 2, and Gemma 3, which has a system message.
std::optional<ChatTemplate> gemma(const TemplateSource& source) {
  if (!source.has_all({"{{'<start_of_turn>model\n'}}", "set role='model'"})) return {};
  const bool plain =
      source.has("'<start_of_turn>'+role+'\n'+message['content']|trim+'<end_of_turn>\n'");
  const bool third =
      source.has_all({"{{'<start_of_turn>'+role+'\n'+(first_user_prefix if loop.first else'')}}",
                      "{{message['content']|trim}}", "{{'<end_of_turn>\n'}}",
                      "set first_user_prefix=messages[0]['content']+'\n\n'"});
  if (!plain && !third) return {};
  Alternating chat;
  chat.bos = source.bos();
  chat.user = {"<start_of_turn>user\n", "<end_of_turn>\n", true};
  chat.assistant = {"<start_of_turn>model\n", "<end_of_turn>\n", true};
  chat.prompt = "<start_of_turn>model\n";
  if (third) {
    chat.system = System::First;
    chat.system_part.close = "\n\n";
  }
  return make("Gemma", "<end_of_turn>", std::move(chat));
}

}  // namespace

std::optional<ChatTemplate> alternating_template(const TemplateSource& source) {
  for (const auto kind : {llama2, mistral, gemma}) {
    if (auto found = kind(source)) return found;
  }
  return {};
}

}  // namespace initrt
