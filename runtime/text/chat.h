// Chat templates: a conversation as the one text that its model was trained on. A model's template
// is rendered by the engine in jinja/, with the variables that transformers gives it.
#pragma once

#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/text/jinja/lexer.h"
#include "runtime/text/jinja/template.h"

namespace initrt {

struct Conversation {
  /// Objects with "role", and "content" (text, parts, or absent), "tool_calls" and whatever else
  /// the template looks for.
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  /// The tools that the model may call, a list of JSON schemas; null for none.
  nlohmann::ordered_json tools;

  bool operator==(const Conversation&) const = default;
  [[nodiscard]] bool empty() const { return messages.empty(); }
};

/// The special tokens that templates write by name, as text: "bos_token" is "<s>".
using SpecialTexts = std::map<std::string, std::string>;

struct ChatOptions {
  SpecialTexts special;
  /// More variables, such as enable_thinking: an object.
  nlohmann::ordered_json arguments = nlohmann::ordered_json::object();
  std::optional<std::tm> now;  ///< nothing: the template sees no clock
};

class ChatTemplate {
 public:
  /// @param source Jinja @throws Error with the line of what is malformed
  ChatTemplate(std::string_view source, ChatOptions options);

  /// The conversation up to where the answer begins, as transformers' apply_chat_template() gives
  /// it with add_generation_prompt.
  /// @throws Error where the conversation is empty or ends with an answer, and with the line where
  ///   the template refuses it
  [[nodiscard]] std::string render(const Conversation& conversation) const;

  /// The text that the template writes after an answer, which begins with the token that ends a
  /// turn; "" where the template does not tell.
  [[nodiscard]] std::string after_answer() const;

 private:
  [[nodiscard]] std::string render(nlohmann::ordered_json messages,
                                   const nlohmann::ordered_json& tools, bool asks) const;

  jinja::Template template_;
  ChatOptions options_;
};

}  // namespace initrt
