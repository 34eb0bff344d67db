// The chat template that comes with a model, found and applied to the job's conversations.
#pragma once

#include <vector>

#include "runtime/start/open_model.h"

namespace initrt {

/// Gives each prompt that is a conversation its text, and the tokenizer's end tokens the one that
/// the template writes after an answer. Nothing is read where no prompt is a conversation.
///
/// The template is the job's, else, where the tokenizer is in a GGUF file's metadata,
/// tokenizer.chat_template there; else, beside the tokenizer's file, chat_template.jinja,
/// chat_template of tokenizer_config.json, or chat_template.json. A model may have several, which
/// have names (a list in those files, additional_chat_templates/NAME.jinja,
/// tokenizer.chat_template.NAME): "tool_use" is taken for a conversation with tools, else
/// "default".
/// @throws Error naming the file, and the prompt where it is a conversation's fault
void apply_chat_template(Files& files, const OpenModel& model, const Job& job, OpenText& text,
                         std::vector<PromptText>& prompts);

}  // namespace initrt
