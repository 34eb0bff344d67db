// The JSONL files, or standard input, that generate.prompts names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/text/chat.h"
#include "sharding/checkpoint/files.h"

namespace initrt {

struct PromptText {
  std::string text;                  ///< of a conversation: what the chat template makes of it
  std::uint64_t max_new_tokens = 0;  ///< the line's own, else the job's
  Conversation conversation{};       ///< empty: the text is given
};

/// One prompt a line: a string, or an object with "prompt" or a conversation's "messages" and
/// perhaps "tools"; perhaps "max_new_tokens", whose other keys are the file's own; empty lines are
/// left out.
/// @param path a file, or what is read once: "-" for standard input, a FIFO
/// @param max_new_tokens of lines that do not say
/// @throws Error naming the line that is something else, or the file where it has no prompts
[[nodiscard]] std::vector<PromptText> read_prompt_file(Files& files, const std::string& path,
                                                       std::uint64_t max_new_tokens);

}  // namespace initrt
