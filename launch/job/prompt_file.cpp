#include "launch/job/prompt_file.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/job/messages.h"
#include "runtime/text/sampler.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::ordered_json;

// What a person joins results to prompts by; first, so that the result of a bad line has it too.
void read_id(PromptText& prompt, const Json& line, const std::string& where) {
  const auto id = line.find("id");
  if (id == line.end() || id->is_null()) return;
  if (!id->is_string() && !id->is_number()) fail("{}: id is neither a string nor a number", where);
  prompt.id = id->dump(-1, ' ', false, Json::error_handler_t::replace);
}

void read_own_keys(PromptText& prompt, const Json& line, const Job& job, const std::string& where) {
  Job own;
  bool any = false;
  for (const std::string_view key : kLineKeys) {
    const auto value = line.find(key);
    if (value == line.end()) continue;
    if (!any) own = job;
    any = true;
    set_key(own, "generate." + std::string(key), *value, where);
  }
  if (!any) return;
  prompt.max_new_tokens = own.generate.max_new_tokens;
  prompt.sampler = sampler_options(own);
  prompt.stop = own.generate.stop;
}

void read_prompt(PromptText& prompt, const Json& line, const Job& job, const std::string& where) {
  if (line.is_string()) {
    prompt.text = line.get<std::string>();
    return;
  }
  if (line.is_object()) read_id(prompt, line, where);
  const bool conversation = line.is_object() && line.contains("messages");
  const bool plain = line.is_object() && line.contains("prompt") && line["prompt"].is_string();
  if (conversation == plain) {
    fail("{}: expected a string or an object with a string \"prompt\" or with \"messages\"", where);
  }
  read_own_keys(prompt, line, job, where);
  if (conversation) {
    prompt.conversation = {read_messages(line["messages"], where + ": messages"),
                           read_tools(line.value("tools", Json()), where + ": tools")};
  } else {
    prompt.text = line["prompt"].get<std::string>();
  }
}

// Most who meet this have given plain text.
Json parse_line(const std::string& line, const std::string& where) {
  try {
    return parse_ordered_json(line, where);
  } catch (const Error& error) {
    fail("{}: a prompt is a string in double quotes, or an object, each on a line of its own",
         error.what());
  }
}

}  // namespace

SamplerOptions sampler_options(const Job& job) {
  const auto& wanted = job.generate;
  SamplerOptions options;
  options.temperature = static_cast<float>(wanted.temperature);
  options.top_k = static_cast<int>(wanted.top_k);
  options.top_p = static_cast<float>(wanted.top_p);
  options.min_p = static_cast<float>(wanted.min_p);
  options.repetition_penalty = static_cast<float>(wanted.repetition_penalty);
  options.seed = wanted.seed;
  check(options);
  return options;
}

void refuse_prompt(PromptText& prompt, const std::string& why) {
  if (prompt.line == 0) throw Error(why);
  prompt.error = fmt::format("line {}: {}", prompt.line, why);
}

PromptRange range_of_part(const std::string& part, std::size_t prompts) {
  const auto all = static_cast<std::uint32_t>(prompts);
  if (part.empty()) return {0, all};
  std::uint32_t number = 0, parts = 0;
  const char* const end = part.data() + part.size();
  const auto [slash, bad] = std::from_chars(part.data(), end, number);
  const bool first = bad == std::errc() && slash != end && *slash == '/';
  if (const auto [rest, wrong] = std::from_chars(first ? slash + 1 : end, end, parts);
      !first || wrong != std::errc() || rest != end || number >= parts) {
    fail("generate.part is {}, expected K/N with K from 0 to N-1, such as 0/4", quote(part));
  }
  const auto begin_of = [&](std::uint64_t k) {
    return static_cast<std::uint32_t>(k * all / parts);
  };
  return {begin_of(number), begin_of(number + std::uint64_t{1})};
}

PromptText prompt_of_job(const Job& job, std::string text) {
  PromptText prompt{std::move(text), job.generate.max_new_tokens};
  prompt.sampler = sampler_options(job);
  prompt.stop = job.generate.stop;
  return prompt;
}

std::vector<PromptText> read_prompt_file(Files& files, const std::string& path, const Job& job) {
  std::vector<PromptText> prompts;
  const std::string name = is_standard_input(path) ? "standard input" : path;
  std::istringstream lines(files.read_input(path));
  std::string line;
  for (std::uint64_t number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}: line {}", name, number);
    PromptText& prompt = prompts.emplace_back(prompt_of_job(job, ""));
    prompt.line = number;
    try {
      read_prompt(prompt, parse_line(line, where), job, where);
    } catch (const Error& error) {
      prompt.error = error.what();
    }
  }
  if (prompts.empty()) fail("{}: no prompts in {}", name, name == path ? "this file" : "it");
  const auto bad = [](const PromptText& prompt) { return !prompt.error.empty(); };
  if (std::ranges::all_of(prompts, bad)) throw Error(prompts.front().error);
  return prompts;
}

}  // namespace initrt
