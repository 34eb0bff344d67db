// The chat template that comes with a model, found and applied to the job's conversations.
#pragma once

#include <vector>

#include "launch/model/prepare.h"

namespace initrt {

/// Gives each prompt that is a conversation its text, and the tokenizer's end tokens the one that
/// ends a turn. The template is tokenizer.chat_template of a GGUF file's metadata, where the
/// tokenizer is too; else, beside the tokenizer's file, chat_template.jinja, chat_template of
/// tokenizer_config.json (where it is a list, the one named "default"), or chat_template.json.
/// Nothing is read where no prompt is a conversation.
/// @throws Error naming the file, and the prompt where it is a conversation's fault
void apply_chat_template(Files& files, const OpenModel& model, const Job& job, OpenText& text,
                         std::vector<PromptText>& prompts);

}  // namespace initrt
