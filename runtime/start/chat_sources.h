// Where a model's chat templates are.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/text/chat.h"
#include "sharding/checkpoint/files.h"

namespace initrt {

struct ChatSource {
  std::string where;   ///< what errors begin with
  std::string source;  ///< Jinja
};

/// By name; the usual one is "default".
using ChatSources = std::map<std::string, ChatSource>;

/// From the files beside a tokenizer's. @throws Error naming the file that is malformed
[[nodiscard]] ChatSources chat_sources_beside(Files& files, const std::string& tokenizer);

/// From GGUF's metadata. @param path names the file in errors
[[nodiscard]] ChatSources chat_sources_in_metadata(const nlohmann::json& metadata,
                                                   const std::string& path);

/// The special tokens that GGUF's metadata names.
[[nodiscard]] SpecialTexts special_texts_in_metadata(const nlohmann::json& metadata);

}  // namespace initrt
