// Conversations as a job and its prompt files give them: lists of {"role", "content"}.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace initrt {

/// The messages of a list of objects with "role". What else they have is the template's to know;
/// "content", where it is there, is a text, a list of parts, an object (a tool's result), or null.
/// @param where opens every error, e.g. "prompts.jsonl: line 3: messages"
/// @throws Error naming the message that is something else
[[nodiscard]] nlohmann::ordered_json read_messages(const nlohmann::ordered_json& list,
                                                   const std::string& where);

/// The tools of a list of objects; null for null and for an empty list.
[[nodiscard]] nlohmann::ordered_json read_tools(const nlohmann::ordered_json& list,
                                                const std::string& where);

}  // namespace initrt
