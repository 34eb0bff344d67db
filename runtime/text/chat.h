// Chat templates: a conversation as the one text that its model was trained on. A model's template
// is a program (Jinja); it is never run: what it writes is recognised from its source, and one of
// a few renderers here writes the same. The kinds are in chat_turns.cpp and chat_alternating.cpp.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace initrt {

/// Most bytes of a template (the longest known have some 10,000).
inline constexpr std::size_t kMaxTemplateBytes = 1u << 20;

struct Message {
  std::string role;     ///< "system", "user" or "assistant"
  std::string content;  ///< UTF-8

  bool operator==(const Message&) const = default;
};

/// Whether a message can have this role.
[[nodiscard]] bool is_message_role(std::string_view role);

/// The special tokens that templates write by name, as text, where the tokenizer has them.
struct SpecialTexts {
  std::optional<std::string> bos, eos;
};

struct ChatTemplate {
  std::string_view name;  ///< the kind, e.g. "ChatML"
  std::string turn_end;   ///< text of the token that ends an answer
  /// The conversation, and what opens the answer. Called by render(), which checks first.
  std::function<std::string(std::span<const Message>)> write;
};

/// The template whose Jinja source this is, by what the source writes.
/// @param special what the template writes for bos_token and eos_token
/// @throws Error quoting the source's beginning where it is none of the kinds known, is larger than
///   kMaxTemplateBytes, or writes a special token that there is no text for
[[nodiscard]] ChatTemplate recognise_chat_template(std::string_view source,
                                                   const SpecialTexts& special);

/// The text of a conversation up to where the answer begins, as transformers' apply_chat_template()
/// gives it with add_generation_prompt and no tools.
/// @throws Error naming the message whose role is out of order or not one that the template has, or
///   where the conversation is empty or ends with an answer
[[nodiscard]] std::string render(const ChatTemplate& chat, std::span<const Message> messages);

}  // namespace initrt
