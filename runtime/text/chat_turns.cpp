// The templates that write each message by itself: what opens a turn of its role, the content, what
// closes it. Formats are those of the models named, from their tokenizer_config.json.
#include <array>
#include <span>
#include <utility>

#include "runtime/text/chat_kinds.h"
#include "sharding/error.h"

namespace initrt {
namespace {

struct Turn {
  std::string open, close;
};

struct Turns {
  std::string bos;
  std::optional<Turn> system;  ///< nothing where the template leaves system messages out
  Turn user, assistant;
  std::string prompt;                   ///< what opens the answer
  std::optional<std::string> standing;  ///< a system message for conversations without one
  bool trims = false;                   ///< contents are written without white space around them
  bool skips_empty_system = false;
};

const Turn& turn_of(const Turns& turns, std::string_view name, std::string_view role) {
  if (role == "user") return turns.user;
  if (role == "assistant") return turns.assistant;
  if (!turns.system) fail("the {} chat template of this model has no system messages", name);
  return *turns.system;
}

std::string write_turns(const Turns& turns, std::string_view name,
                        std::span<const Message> messages) {
  std::string text = turns.bos;
  const auto add = [&](std::string_view role, std::string_view content) {
    const Turn& turn = turn_of(turns, name, role);
    text.append(turn.open).append(turns.trims ? trimmed(content) : content).append(turn.close);
  };
  if (turns.standing && messages.front().role != "system") add("system", *turns.standing);
  for (const Message& message : messages) {
    if (turns.skips_empty_system && message.role == "system" && message.content.empty()) continue;
    add(message.role, message.content);
  }
  return text + turns.prompt;
}

ChatTemplate make(std::string_view name, std::string turn_end, Turns turns) {
  return {name, std::move(turn_end),
          [name, turns = std::move(turns)](std::span<const Message> messages) {
            return write_turns(turns, name, messages);
          }};
}

// Turns that have the role's name in them, e.g. <|im_start|>user.
Turns named_turns(std::string_view before, std::string_view after, std::string_view close) {
  const auto open = [&](std::string_view role) {
    return std::string(before).append(role).append(after);
  };
  Turns turns;
  turns.system = Turn{open("system"), std::string(close)};
  turns.user = {open("user"), std::string(close)};
  turns.assistant = {open("assistant"), std::string(close)};
  turns.prompt = open("assistant");
  return turns;
}

// ChatML: SmolLM2, Qwen 1.5 to 2.5, Qwen 3 2507 Instruct, Hermes, Dolphin, OpenHermes.
std::optional<ChatTemplate> chatml(const TemplateSource& source) {
  const bool direct =
      source.has("'<|im_start|>'+message['role']+'\n'+message['content']+'<|im_end|>\n'");
  const bool by_name = source.has("'<|im_start|>'+message['role']+'\n'+content+'<|im_end|>\n'") &&
                       source.has("set content=message['content']%}");
  if (!(direct || by_name) || !source.has("'<|im_start|>assistant\n'")) return {};
  // Templates that think, put the system message together from parts, or refuse an order of roles.
  for (const char* other : {"<think>", "system_message", "set messages=", "strftime_now",
                            "raise_exception", "<|im_sep|>"}) {
    if (source.has(other)) return {};
  }
  Turns turns = named_turns("<|im_start|>", "\n", "<|im_end|>\n");
  turns.bos = source.bos();
  turns.standing = source.constant_between("'<|im_start|>system\n", "<|im_end|>\n");
  return make("ChatML", "<|im_end|>", std::move(turns));
}

// What an answer of Qwen 3 thought, and what it said.
struct Answer {
  std::string_view thought, said;
};

std::string_view without_line_ends(std::string_view text) {
  while (text.starts_with('\n')) text.remove_prefix(1);
  while (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

Answer split_answer(std::string_view content) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  const std::size_t first = content.find(kClose);
  if (first == std::string_view::npos) return {"", content};
  std::string_view thought = content.substr(0, first);
  if (const std::size_t open = thought.rfind(kOpen); open != std::string_view::npos) {
    thought.remove_prefix(open + kOpen.size());
  }
  std::string_view said = content.substr(content.rfind(kClose) + kClose.size());
  while (said.starts_with('\n')) said.remove_prefix(1);
  return {without_line_ends(thought), said};
}

// Qwen 3: ChatML whose thoughts stay only in answers after the last question.
std::string write_qwen3(const Turns& turns, std::span<const Message> messages) {
  std::size_t last_question = messages.size() - 1;
  for (std::size_t i = messages.size(); i-- > 0;) {
    const std::string& content = messages[i].content;
    const bool tool_result =
        content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
    if (messages[i].role != "user" || tool_result) continue;
    last_question = i;
    break;
  }
  std::string text;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    text += turn_of(turns, "Qwen 3", message.role).open;
    if (message.role != "assistant") {
      text += message.content;
    } else {
      const auto [thought, said] = split_answer(message.content);
      if (i > last_question && !thought.empty()) {
        text.append("<think>\n").append(thought).append("\n</think>\n\n");
      }
      text += said;
    }
    text += turns.user.close;
  }
  return text + turns.prompt;
}

std::optional<ChatTemplate> qwen3(const TemplateSource& source) {
  const bool known = source.has_all({"last_query_index", "enable_thinking is false",
                                     "{{'<|im_start|>assistant\n'}}{%if enable_thinking is defined",
                                     "'\n<think>\n'+reasoning_content"});
  if (!known) return {};
  return ChatTemplate{
      "Qwen 3", "<|im_end|>",
      [turns = named_turns("<|im_start|>", "\n", "<|im_end|>\n")](
          std::span<const Message> messages) { return write_qwen3(turns, messages); }};
}

// Llama 3; 3.1, 3.2 and 3.3 have a system message always, with two dates. The second is today's or,
// where there is no clock, one that the template names: the latter is written here, so that the
// same job gives the same text tomorrow.
std::optional<ChatTemplate> llama3(const TemplateSource& source) {
  const bool known = source.has_all(
      {"'<|start_header_id|>'+message['role']+'<|end_header_id|>\n\n'+message['content']|trim+"
       "'<|eot_id|>'",
       "'<|start_header_id|>assistant<|end_header_id|>\n\n'"});
  if (!known) return {};
  Turns turns = named_turns("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>");
  turns.bos = source.bos();
  turns.trims = true;
  if (!source.has("system_message")) return make("Llama 3", "<|eot_id|>", std::move(turns));

  const auto knowledge = source.constant_between("{{'Cutting Knowledge Date: ", "\nToday Date: '");
  const auto today = source.constant_between("set date_string='", "'");
  if (!knowledge || !today || !source.has("{{system_message+'<|eot_id|>'}}")) return {};
  const std::string dates =
      "Cutting Knowledge Date: " + *knowledge + "\nToday Date: " + *today + "\n\n";
  return ChatTemplate{"Llama 3.1", "<|eot_id|>", [turns, dates](std::span<const Message> messages) {
                        Turns with_dates = turns;
                        std::string text = turns.bos + turns.system->open + dates;
                        with_dates.bos.clear();
                        if (messages.front().role == "system") {
                          text += trimmed(messages.front().content);
                          messages = messages.subspan(1);
                        }
                        text += turns.system->close;
                        return messages.empty()
                                   ? text + turns.prompt
                                   : text + write_turns(with_dates, "Llama 3.1", messages);
                      }};
}

// Phi-3 mini since July 2024, and Phi-3.5, which leaves empty system messages out; Phi-3 small.
// Before that, and in medium, a question opened its answer and there were no system messages.
std::optional<ChatTemplate> phi3(const TemplateSource& source) {
  Turns turns = named_turns("<|", "|>\n", "<|end|>\n");
  const bool by_role = source.has_all({"{{'<|system|>\n'+message['content']+'<|end|>\n'}}",
                                       "{{'<|user|>\n'+message['content']+'<|end|>\n'}}",
                                       "{{'<|assistant|>\n'+message['content']+'<|end|>\n'}}",
                                       "{{'<|assistant|>\n'}}"});
  const bool by_name =
      source.has_all({"{{'<|'+message['role']+'|>\n'+message['content']+"
                      "'<|end|>\n'}}",
                      "{{'<|assistant|>\n'}}"});
  const bool asking =
      source.has_all({"{{'<|user|>\n'+message['content']+'<|end|>\n<|assistant|>\n'}}",
                      "{{message['content']+'<|end|>\n'}}"}) &&
      !source.has("<|system|>");
  if (!by_role && !by_name && !asking) return {};
  turns.bos = source.bos();
  turns.skips_empty_system = source.has("message['role']=='system'and message['content']");
  if (asking) {
    turns.system.reset();
    turns.skips_empty_system = true;
    turns.user.close += turns.prompt;
    turns.assistant.open.clear();
    turns.prompt.clear();
  }
  return make("Phi-3", "<|end|>", std::move(turns));
}

std::optional<ChatTemplate> phi4_mini(const TemplateSource& source) {
  const bool known = source.has_all(
      {"{{'<|'+message['role']+'|>'+message['content']+'<|end|>'}}", "{{'<|assistant|>'}}"});
  if (!known) return {};
  return make("Phi-4 mini", "<|end|>", named_turns("<|", "|>", "<|end|>"));
}

std::optional<ChatTemplate> phi4(const TemplateSource& source) {
  const bool known =
      source.has_all({"{{'<|im_start|>system<|im_sep|>'+message['content']+"
                      "'<|im_end|>'}}",
                      "{{'<|im_start|>user<|im_sep|>'+message['content']+"
                      "'<|im_end|>'}}",
                      "{{'<|im_start|>assistant<|im_sep|>'+message['content']+"
                      "'<|im_end|>'}}",
                      "{{'<|im_start|>assistant<|im_sep|>'}}"});
  if (!known) return {};
  return make("Phi-4", "<|im_end|>", named_turns("<|im_start|>", "<|im_sep|>", "<|im_end|>"));
}

// Zephyr; TinyLlama and StableLM Zephyr write the same.
std::optional<ChatTemplate> zephyr(const TemplateSource& source) {
  const bool known = source.has_all({"{{'<|user|>\n'+message['content']+eos_token+'\n'}}",
                                     "{{'<|system|>\n'+message['content']+eos_token+'\n'}}",
                                     "{{'<|assistant|>\n'+message['content']+eos_token+'\n'}}",
                                     "{{'<|assistant|>\n'}}"});
  if (!known) return {};
  Turns turns = named_turns("<|", "|>\n", source.eos() + "\n");
  turns.bos = source.bos();
  return make("Zephyr", source.eos(), std::move(turns));
}

// OLMo 2 and, without BOS, Tulu 3: only answers end with a token.
std::optional<ChatTemplate> olmo2(const TemplateSource& source) {
  const bool known = source.has_all(
      {"{{'<|user|>\n'+message['content']+'\n'}}", "{{'<|system|>\n'+message['content']+'\n'}}",
       "{{'<|assistant|>\n'+message['content']+eos_token+'\n'}}", "{{'<|assistant|>\n'}}"});
  if (!known) return {};
  Turns turns = named_turns("<|", "|>\n", "\n");
  turns.bos = source.bos();
  turns.assistant.close = source.eos() + "\n";
  return make("OLMo 2", source.eos(), std::move(turns));
}

}  // namespace

std::optional<ChatTemplate> turns_template(const TemplateSource& source) {
  for (const auto kind : {chatml, qwen3, llama3, phi3, phi4_mini, phi4, zephyr, olmo2}) {
    if (auto found = kind(source)) return found;
  }
  return {};
}

}  // namespace initrt
