// What decides answers beside the prompts, kept in a file beside those of generate.output: a
// restart that would go on with other settings is an error that names them.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "launch/job/job.h"
#include "launch/job/prompt_file.h"
#include "runtime/start/open_model.h"
#include "runtime/start/open_text.h"

namespace initrt {

/// Keys of a job that an answer depends on. What computes it (ranks, device, batch) is none.
inline constexpr std::array<std::string_view, 20> kAnswerKeys = {"precision",
                                                                 "quantize.method",
                                                                 "quantize.skip",
                                                                 "quantize.threshold",
                                                                 "cuda.tf32",
                                                                 "generate.chat",
                                                                 "generate.system",
                                                                 "generate.tools",
                                                                 "generate.chat_template_kwargs",
                                                                 "generate.date",
                                                                 "generate.max_new_tokens",
                                                                 "generate.temperature",
                                                                 "generate.top_k",
                                                                 "generate.top_p",
                                                                 "generate.min_p",
                                                                 "generate.repetition_penalty",
                                                                 "generate.seed",
                                                                 "generate.ignore_eos",
                                                                 "generate.stop",
                                                                 "generate.logprobs"};

/// An object: keys of a job by their paths, and what else there is to compare by names of its own.
/// What two of them do not both have is not compared.
using AnswerSettings = nlohmann::ordered_json;

/// What the job says, and prompts for themselves. @param prompts that the results are of
[[nodiscard]] AnswerSettings settings_of(const Job& job, std::span<const PromptText> prompts);

/// Adds what the model's files hold, as hashes.
void add_model(AnswerSettings& settings, Files& files, const Job& job, const OpenModel& model,
               const OpenText& text, std::span<const PromptText> prompts);

/// Whether both are of the same path, which says little of what is there.
[[nodiscard]] bool same_model_path(const AnswerSettings& a, const AnswerSettings& b);

/// What results in `output` were made with; nothing where no file says it.
/// @throws Error naming the file where it is something else
[[nodiscard]] std::optional<AnswerSettings> read_settings(Files& files, const std::string& output);

/// @throws Error naming `output` and all settings that are not what they were
/// @param prompts of now; there may be more of them than then
void refuse_others(const std::string& output, const AnswerSettings& before,
                   const AnswerSettings& now, std::span<const PromptText> prompts);

/// What a person should know who goes on from results whose settings no file says.
[[nodiscard]] std::string describe_unknown_settings(const std::string& output);

/// Says it for the next restart, on the one rank that writes. @throws Error where it cannot
void write_settings(const std::string& output, const AnswerSettings& settings);

}  // namespace initrt
