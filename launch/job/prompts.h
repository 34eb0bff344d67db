// A job's prompts: from its keys, or the file that they name, to tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "launch/job/job.h"
#include "launch/job/prompt_file.h"
#include "runtime/exec/generate.h"
#include "runtime/start/open_text.h"

namespace initrt {

/// The job's prompt, prompts or conversations; these have no text yet (apply_chat_template()).
/// @throws Error where there is none, or one is empty
[[nodiscard]] std::vector<PromptText> read_prompts(Files& files, const Job& job);

/// Whether a prompt is still to be run.
[[nodiscard]] inline bool is_open(const PromptText& text) {
  return !text.done && text.error.empty();
}

/// Gives each prompt that is a conversation its text by the model's chat template
/// (chat_template.h), and the end tokens the one that the template writes after an answer. Nothing
/// is read where no prompt is a conversation.
/// @throws Error naming the file, and the prompt where it is a conversation's fault
void apply_chat_template(Files& files, const OpenModel& model, const Job& job, OpenText& text,
                         std::vector<PromptText>& prompts);

/// The open prompts as tokens, in order; refuse_prompt() of one that has none, or one that the
/// model has no embedding for.
[[nodiscard]] std::vector<Prompt> tokenize(const Tokenizer& tokenizer,
                                           std::vector<PromptText>& texts,
                                           std::uint64_t vocabulary);

/// Takes prompts out that do not fit the context with their new tokens: refuse_prompt().
void refuse_beyond_context(const Job& job, const Graph& graph, std::vector<PromptText>& texts,
                           std::vector<Prompt>& prompts);

}  // namespace initrt
