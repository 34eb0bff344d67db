// Conversations as a job and its prompt files give them: lists of {"role", "content"}.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "runtime/text/chat.h"

namespace initrt {

/// The messages of a list of objects with "role" (system, user or assistant) and "content" (text).
/// @param where opens every error, e.g. "prompts.jsonl: line 3: messages"
/// @throws Error naming the message that is something else, or has a key that is not known
[[nodiscard]] std::vector<Message> read_messages(const nlohmann::json& list,
                                                 const std::string& where);

/// The same list again.
[[nodiscard]] nlohmann::ordered_json messages_json(std::span<const Message> messages);

}  // namespace initrt
