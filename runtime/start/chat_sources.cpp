#include "runtime/start/chat_sources.h"

#include <nlohmann/json.hpp>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

// The member chat_template: a string, or a list of {"name", "template"}.
ChatSources sources_in(const Json& config, const std::string& path) {
  ChatSources sources;
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return sources;
  if (found->is_string()) return {{"default", {path, found->get<std::string>()}}};
  const auto text = [&](const Json& one, const char* key) {
    const bool has = one.is_object() && one.contains(key) && one[key].is_string();
    if (!has) {
      fail(
          "{}: chat_template is neither a string nor a list of objects with a \"name\" and a "
          "\"template\"",
          path);
    }
    return one[key].get<std::string>();
  };
  if (!found->is_array()) (void)text(Json(), "name");
  for (const Json& one : *found) sources[text(one, "name")] = {path, text(one, "template")};
  return sources;
}

constexpr std::string_view kExtension = ".jinja";

}  // namespace

ChatSources chat_sources_beside(Files& files, const std::string& tokenizer) {
  const std::string directory = directory_of(tokenizer);
  ChatSources sources;
  // What is found first stays.
  const auto add_file = [&](const std::string& name, const std::string& path) {
    if (!is_file(files, path)) return;
    sources.try_emplace(name, path, files.read_text(path, jinja::kMaxSourceBytes));
  };
  add_file("default", join_path(directory, "chat_template.jinja"));
  const std::string more = join_path(directory, "additional_chat_templates");
  if (is_directory(files, more)) {
    for (const std::string& name : files.list(more)) {
      if (!name.ends_with(kExtension)) continue;
      add_file(name.substr(0, name.size() - kExtension.size()), join_path(more, name));
    }
  }
  if (sources.contains("default")) return sources;
  for (const char* name : {"tokenizer_config.json", "chat_template.json"}) {
    const std::string path = join_path(directory, name);
    if (!is_file(files, path)) continue;
    sources.merge(sources_in(read_json_object(files, path), path));
    if (sources.contains("default")) break;
  }
  return sources;
}

ChatSources chat_sources_in_metadata(const Json& metadata, const std::string& path) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  ChatSources sources;
  for (const auto& [key, value] : metadata.items()) {
    if (!key.starts_with(kKey) || !value.is_string()) continue;
    const std::string name = key.substr(kKey.size());
    if (!name.empty() && !name.starts_with('.')) continue;
    sources[name.empty() ? "default" : name.substr(1)] = {path, value.get<std::string>()};
  }
  return sources;
}

SpecialTexts special_texts_in_metadata(const Json& metadata) {
  SpecialTexts texts;
  const auto tokens = metadata.find("tokenizer.ggml.tokens");
  if (tokens == metadata.end() || !tokens->is_array()) return texts;
  for (const auto& [name, key] : {std::pair("bos_token", "tokenizer.ggml.bos_token_id"),
                                  std::pair("eos_token", "tokenizer.ggml.eos_token_id"),
                                  std::pair("unk_token", "tokenizer.ggml.unknown_token_id"),
                                  std::pair("pad_token", "tokenizer.ggml.padding_token_id")}) {
    const auto id = metadata.find(key);
    if (id == metadata.end() || !id->is_number_unsigned()) continue;
    const auto index = id->get<std::size_t>();
    if (index >= tokens->size() || !(*tokens)[index].is_string()) continue;
    texts.emplace(name, (*tokens)[index].get<std::string>());
  }
  return texts;
}

}  // namespace initrt
