#include "runtime/text/config_tokens.h"

#include <array>
#include <charconv>
#include <optional>
#include <unordered_set>
#include <vector>

#include "runtime/text/made_tokenizer.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

using Tokens = std::map<std::string, json>;  // entries of added_tokens, by their text

// body(text, id) for each token of a tokenizer.json's model, whose "vocab" is an object of text to
// id, or a Unigram's list of [text, score].
template <class Body>
void for_vocabulary(const json& tokenizer, const Body& body) {
  const auto model = tokenizer.find("model");
  if (model == tokenizer.end() || !model->is_object()) return;
  const auto vocabulary = model->find("vocab");
  if (vocabulary == model->end()) return;
  if (vocabulary->is_object()) {
    for (const auto& [text, id] : vocabulary->items()) {
      if (id.is_number_unsigned()) body(text, id.template get<std::uint64_t>());
    }
  } else if (vocabulary->is_array()) {
    for (std::uint64_t id = 0; id < vocabulary->size(); ++id) {
      const json& piece = (*vocabulary)[id];
      if (!piece.is_array() || piece.empty() || !piece[0].is_string()) continue;
      body(piece[0].template get_ref<const std::string&>(), id);
    }
  }
}

// Adds special tokens that a member names: a text, an object with its flags, or several of them.
void add_named(const json& member, Tokens& tokens) {
  if (member.is_string()) {
    const auto& content = member.get_ref<const std::string&>();
    tokens.try_emplace(content, added_token_json(nullptr, content, true, false));
  } else if (const auto content = member.find("content");
             member.is_object() && content != member.end() && content->is_string()) {
    json token = added_token_json(nullptr, content->get<std::string>(), true, false);
    take_flags(JsonNode(member, "a special token"), token);
    tokens.try_emplace(content->get<std::string>(), std::move(token));
  } else if (member.is_structured()) {
    for (const json& one : member) {
      if (one.is_string() || one.is_object()) add_named(one, tokens);
    }
  }
}

template <class Keys>
void add_named(const json& file, const Keys& keys, Tokens& tokens) {
  for (const char* key : keys) {
    if (const auto member = file.find(key); member != file.end()) add_named(*member, tokens);
  }
}

// What the files beside a tokenizer name; ids are null where none says one.
Tokens tokens_of(const FilesBesideTokenizer& files) {
  constexpr std::array kLists = {"additional_special_tokens", "extra_special_tokens"};
  Tokens tokens = tokens_of_config(JsonNode(files.config, "tokenizer_config.json"));
  const bool listed = files.config.contains("added_tokens_decoder");
  Tokens named;
  if (!listed) add_named(files.special, kSpecialRoles, named);
  add_named(files.config, kSpecialRoles, named);
  for (auto& [content, token] : tokens) {
    if (named.contains(content)) token["special"] = true;
  }
  if (!listed) add_named(files.special, kLists, named);
  add_named(files.config, kLists, named);
  const JsonNode ids(files.added, "added_tokens.json");
  for (const auto& [content, id] : files.added.items()) {
    (void)ids.at(content).token_id();
    const bool special = named.contains(content);
    if (!listed) tokens.emplace(content, added_token_json(id, content, special, !special));
  }
  tokens.merge(named);
  return tokens;
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

void add_tokens_beside(json& tokenizer, const FilesBesideTokenizer& files) {
  Tokens beside = tokens_of(files);
  json& own = tokenizer["added_tokens"];
  if (own.is_null()) own = json::array();
  if (!own.is_array()) return;  // an error of its reader
  std::unordered_set<std::uint64_t> taken;
  for (const json& token : own) {
    if (!token.is_object()) continue;
    if (const json content = token.value("content", json()); content.is_string()) {
      beside.erase(content.get<std::string>());
    }
    if (const json id = token.value("id", json()); id.is_number_unsigned()) {
      taken.insert(id.get<std::uint64_t>());
    }
  }
  if (beside.empty()) return;
  std::unordered_set<std::uint64_t> wanted;
  for (const auto& [content, token] : beside) {
    if (!token["id"].is_null()) wanted.insert(token["id"].get<std::uint64_t>());
  }
  std::vector<json> in_vocabulary;
  for_vocabulary(tokenizer, [&](const std::string& text, std::uint64_t id) {
    if (const auto found = beside.find(text); found != beside.end()) {
      found->second["id"] = id;
      in_vocabulary.push_back(std::move(found->second));
      beside.erase(found);
    } else if (wanted.contains(id)) {
      taken.insert(id);
    }
  });
  const auto add = [&](json& token) {
    const json id = token["id"];
    if (!id.is_null() && taken.insert(id.get<std::uint64_t>()).second) {
      own.push_back(std::move(token));
    }
  };
  for (json& token : in_vocabulary) add(token);
  for (auto& [content, token] : beside) add(token);
}

}  // namespace initrt
