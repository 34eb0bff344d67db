#include "runtime/text/config_tokens.h"

#include <charconv>
#include <optional>

#include "runtime/text/made_tokenizer.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

// The id of a text in a tokenizer.json's model, or null: "vocab" is an object of text to id, or a
// Unigram's list of [text, score].
json id_in_vocabulary(const json& tokenizer, const std::string& content) {
  const auto model = tokenizer.find("model");
  if (model == tokenizer.end() || !model->is_object()) return nullptr;
  const auto vocabulary = model->find("vocab");
  if (vocabulary == model->end()) return nullptr;
  if (vocabulary->is_object()) return vocabulary->value(content, json());
  for (std::size_t id = 0; vocabulary->is_array() && id < vocabulary->size(); ++id) {
    const json& piece = (*vocabulary)[id];
    if (piece.is_array() && !piece.empty() && piece[0] == content) return id;
  }
  return nullptr;
}

}  // namespace

void take_flags(const JsonNode& from, json& token) {
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) {
    token[flag] = from.flag(flag, token[flag].get<bool>());
  }
}

std::map<std::string, json> tokens_of_config(const JsonNode& config) {
  std::map<std::string, json> tokens;
  const std::optional<JsonNode> decoder = config.find("added_tokens_decoder");
  if (!decoder) return tokens;
  if (!decoder->value().is_object()) decoder->expected("an object of id to token");
  for (const auto& [id, value] : decoder->value().items()) {
    const JsonNode entry = decoder->at(id);
    const std::string& content = entry.at("content").string();
    TokenId number = -1;
    const auto [rest, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc() || rest != id.data() + id.size() || number < 0) {
      fail("{}: {} is no token id", decoder->path(), in_quotes(id));
    }
    const bool special = entry.flag("special", false);
    json token = added_token_json(number, content, special, !special);
    take_flags(entry, token);
    tokens[content] = std::move(token);
  }
  return tokens;
}

void add_tokens_beside(json& tokenizer, const json& config, const json& added) {
  std::map<std::string, json> beside = tokens_of_config(JsonNode(config, "tokenizer_config.json"));
  const JsonNode ids(added, "added_tokens.json");
  for (const auto& [content, id] : added.items()) {
    beside.try_emplace(content, added_token_json(ids.at(content).token_id(), content, false, true));
  }
  if (beside.empty()) return;
  json& own = tokenizer["added_tokens"];
  if (own.is_null()) own = json::array();
  if (!own.is_array()) return;  // an error of its reader
  for (const json& token : own) {
    const auto content = token.is_object() ? token.find("content") : token.end();
    if (content != token.end() && content->is_string()) beside.erase(content->get<std::string>());
  }
  for (auto& [content, token] : beside) {
    if (const json known = id_in_vocabulary(tokenizer, content); !known.is_null()) {
      token["id"] = known;
    }
    own.push_back(std::move(token));
  }
}

}  // namespace initrt
