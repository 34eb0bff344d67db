#include "launch/job/prompt_file.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/job/job.h"
#include "launch/job/messages.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

PromptText parse_prompt(const nlohmann::ordered_json& line, std::uint64_t max_new_tokens,
                        const std::string& where) {
  if (line.is_string()) return {line.get<std::string>(), max_new_tokens};
  const bool conversation = line.is_object() && line.contains("messages");
  const bool prompt = line.is_object() && line.contains("prompt") && line["prompt"].is_string();
  if (conversation == prompt) {
    fail("{}: expected a string or an object with a string \"prompt\" or with \"messages\"", where);
  }
  if (const auto own = line.find("max_new_tokens"); own != line.end()) {
    max_new_tokens = own->is_number_unsigned() ? own->get<std::uint64_t>() : 0;
    if (max_new_tokens < 1 || max_new_tokens > kMaxPositions) {
      fail("{}: max_new_tokens is not a whole number from 1 to {}", where, kMaxPositions);
    }
  }
  if (conversation) {
    return {"",
            max_new_tokens,
            {read_messages(line["messages"], where + ": messages"),
             read_tools(line.value("tools", nlohmann::ordered_json()), where + ": tools")}};
  }
  return {line["prompt"].get<std::string>(), max_new_tokens};
}

// Most who meet this have given plain text.
nlohmann::ordered_json parse_line(const std::string& line, const std::string& where) {
  try {
    return parse_ordered_json(line, where);
  } catch (const Error& error) {
    fail("{}: a prompt is a string in double quotes, or an object, each on a line of its own",
         error.what());
  }
}

}  // namespace

std::vector<PromptText> read_prompt_file(Files& files, const std::string& path,
                                         std::uint64_t max_new_tokens) {
  std::vector<PromptText> prompts;
  const std::string name = is_standard_input(path) ? "standard input" : path;
  std::istringstream lines(files.read_input(path));
  std::string line;
  for (std::uint64_t number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}: line {}", name, number);
    prompts.push_back(parse_prompt(parse_line(line, where), max_new_tokens, where));
  }
  if (prompts.empty()) fail("{}: no prompts in {}", name, name == path ? "this file" : "it");
  return prompts;
}

}  // namespace initrt
