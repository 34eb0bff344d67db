#include "launch/model/chat_template.h"

#include <algorithm>

#include "launch/model/tokenizer_files.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

struct FoundTemplate {
  std::string where;   // what errors begin with
  std::string source;  // Jinja
  SpecialTexts special;
};

// The member chat_template: a string, or a list of {"name", "template"}.
std::optional<std::string> template_in(const Json& config, const std::string& path) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return {};
  if (found->is_string()) return found->get<std::string>();
  if (found->is_array()) {
    for (const Json& one : *found) {
      if (!one.is_object() || one.value("name", Json()) != "default") continue;
      if (one.contains("template") && one["template"].is_string()) {
        return one["template"].get<std::string>();
      }
    }
  }
  fail("{}: chat_template is neither a string nor a list with one named \"default\"", path);
}

// From the files beside a tokenizer's.
FoundTemplate template_beside(Files& files, const std::string& tokenizer) {
  const std::string directory = directory_of(tokenizer);
  const auto object = [&](const char* name) {
    const std::string path = join_path(directory, name);
    return is_file(files, path) ? read_json_object(files, path) : Json::object();
  };
  const Json config = object("tokenizer_config.json");
  FoundTemplate found;
  found.special = special_texts_beside(files, tokenizer);

  found.where = join_path(directory, "chat_template.jinja");
  if (is_file(files, found.where)) {
    found.source = files.read_text(found.where, kMaxTemplateBytes);
    return found;
  }
  found.where = join_path(directory, "tokenizer_config.json");
  auto source = template_in(config, found.where);
  if (!source) {
    found.where = join_path(directory, "chat_template.json");
    source = template_in(object("chat_template.json"), found.where);
  }
  if (!source) {
    fail(
        "{}: no chat template beside it: neither chat_template.jinja nor a \"chat_template\" in "
        "tokenizer_config.json",
        tokenizer);
  }
  found.source = *std::move(source);
  return found;
}

// From GGUF's metadata.
FoundTemplate template_in_metadata(const Json& metadata, const std::string& path) {
  const auto source = metadata.find("tokenizer.chat_template");
  if (source == metadata.end() || !source->is_string()) {
    fail("{}: no chat template: its metadata has no text tokenizer.chat_template", path);
  }
  const auto token = [&](const char* key) -> std::optional<std::string> {
    const auto id = metadata.find(key);
    const auto tokens = metadata.find("tokenizer.ggml.tokens");
    if (id == metadata.end() || !id->is_number_unsigned() || tokens == metadata.end()) return {};
    const auto index = id->get<std::size_t>();
    if (index >= tokens->size() || !(*tokens)[index].is_string()) return {};
    return (*tokens)[index].get<std::string>();
  };
  return {path,
          source->get<std::string>(),
          {token("tokenizer.ggml.bos_token_id"), token("tokenizer.ggml.eos_token_id")}};
}

}  // namespace

void apply_chat_template(Files& files, const OpenModel& model, const Job& job, OpenText& text,
                         std::vector<PromptText>& prompts) {
  const bool any = std::any_of(prompts.begin(), prompts.end(), [](const PromptText& prompt) {
    return !prompt.messages.empty() && !prompt.done;
  });
  if (!any) return;
  const FoundTemplate found = text.file.empty()
                                  ? template_in_metadata(model.catalog.metadata, job.model)
                                  : template_beside(files, text.file);
  ChatTemplate chat;
  try {
    chat = recognise_chat_template(found.source, found.special);
  } catch (const Error& error) {
    fail("{}: {}", found.where, error.what());
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    PromptText& prompt = prompts[i];
    if (prompt.messages.empty() || prompt.done) continue;
    try {
      prompt.text = render(chat, prompt.messages);
    } catch (const Error& error) {
      refuse_prompt(prompt, fmt::format("prompt {}: {}", i, error.what()));
    }
  }
  const std::vector<TokenId> end = text.tokenizer->encode_bare(chat.turn_end);
  if (end.size() != 1) {
    fail(
        "{}: the {} chat template ends a turn with {}, which is no token of the tokenizer: do they "
        "belong together?",
        found.where, chat.name, quote(chat.turn_end));
  }
  if (std::find(text.end_tokens.begin(), text.end_tokens.end(), end.front()) ==
      text.end_tokens.end()) {
    text.end_tokens.push_back(end.front());
  }
}

}  // namespace initrt
