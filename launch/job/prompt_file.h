// The JSONL files, or standard input, that generate.prompts names.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launch/job/job.h"
#include "runtime/text/chat.h"
#include "sharding/checkpoint/files.h"
#include "sharding/sampling.h"

namespace initrt {

struct PromptText {
  std::string text;                  ///< of a conversation: what the chat template makes of it
  std::uint64_t max_new_tokens = 0;  ///< the line's own, else the job's
  Conversation conversation{};       ///< empty: the text is given
  SamplerOptions sampler{};          ///< the line's own, else the job's
  std::vector<std::string> stop{};   ///< the same
  std::string id{};                  ///< JSON of the line's "id", a string or a number; "" for none
  std::uint64_t line = 0;            ///< of a file, counted from 1; 0: not from a file
  std::string error{};               ///< why it cannot be run: its result says so
  bool done = false;                 ///< its result is there already, or another job's to give
};

/// Keys of the group `generate` that a line may set for itself.
inline constexpr std::array<std::string_view, 8> kLineKeys = {
    "max_new_tokens", "temperature",        "top_k", "top_p",
    "min_p",          "repetition_penalty", "seed",  "stop"};

/// How tokens are chosen. @throws Error where a value is out of range
[[nodiscard]] SamplerOptions sampler_options(const Job& job);

/// Keeps why a file's line cannot be run. @throws Error with `why` for a prompt that is of no file
void refuse_prompt(PromptText& prompt, const std::string& why);

/// The prompts of part "K/N" (generate.part), as [first, last): N parts, of which none is more than
/// one prompt larger than another. All of them for "".
struct PromptRange {
  std::uint32_t first = 0, last = 0;
};
/// @throws Error where `part` is no such text
[[nodiscard]] PromptRange range_of_part(const std::string& part, std::size_t prompts);

/// A prompt of the job itself, with what it says of all.
[[nodiscard]] PromptText prompt_of_job(const Job& job, std::string text);

/// One prompt a line: a string, or an object with "prompt" or a conversation's "messages" and
/// perhaps "tools", and perhaps an "id" and some of kLineKeys, whose other keys are the file's own;
/// empty lines are left out. A line that is something else is kept with its error.
/// @param path a file, or what is read once: "-" for standard input, a FIFO
/// @param job what lines do not say
/// @throws Error of the first line where no line is a prompt, or naming a file without any
[[nodiscard]] std::vector<PromptText> read_prompt_file(Files& files, const std::string& path,
                                                       const Job& job);

}  // namespace initrt
