// The chat templates that come with a model: found, chosen, and rendered to the text of a prompt.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/start/chat_sources.h"
#include "runtime/start/open_text.h"
#include "runtime/start/options.h"
#include "runtime/text/chat.h"

namespace initrt {

/// The template is the one asked for, else, where the tokenizer is in a GGUF file's metadata,
/// tokenizer.chat_template there; else, beside the tokenizer's file, chat_template.jinja,
/// chat_template of tokenizer_config.json, or chat_template.json. A model may have several, which
/// have names (a list in those files, additional_chat_templates/NAME.jinja,
/// tokenizer.chat_template.NAME): "tool_use" is taken for a conversation with tools, else
/// "default".
class ChatTemplates {
 public:
  /// @throws Error naming the file or the option
  ChatTemplates(Files& files, const ModelOptions& options, const OpenModel& model,
                const OpenText& text, const ChatTemplateOptions& wanted);

  /// What a prompt with this conversation is, up to where the answer begins: to be encoded by
  /// encode_bare(). @throws Error naming the template's file
  [[nodiscard]] std::string render(const Conversation& conversation);

  /// The tokens that the templates rendered so far write after an answer, which end it.
  [[nodiscard]] std::vector<TokenId> end_tokens(const Tokenizer& tokenizer) const;

 private:
  struct Made {
    const ChatSource* source;
    ChatTemplate made;
  };

  const Made& of(bool with_tools);
  [[noreturn]] void no_template() const;

  std::string owner_;  // of the tokenizer, for errors
  ChatSources sources_;
  ChatOptions options_;
  std::string name_;  // the one asked for; "" where that is left to the conversation
  std::map<std::string, Made> made_;  // as conversations ask for them
};

}  // namespace initrt
