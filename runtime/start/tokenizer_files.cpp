#include "runtime/start/tokenizer_files.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "runtime/text/config_tokens.h"
#include "runtime/text/json_node.h"
#include "runtime/text/sentencepiece.h"
#include "runtime/text/tekken.h"
#include "runtime/text/tiktoken.h"
#include "runtime/text/vocab_merges.h"
#include "runtime/text/vocab_txt.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr const char* kConfig = "tokenizer_config.json";
constexpr const char* kSpecial = "special_tokens_map.json";
constexpr const char* kAdded = "added_tokens.json";

// The object in a file beside the tokenizer's; an empty one where there is no such file.
Json object_beside(Files& files, const std::string& tokenizer, const char* name) {
  const std::string path = join_path(directory_of(tokenizer), name);
  return is_file(files, path) ? read_json_object(files, path) : Json::object();
}

// Where the tokenizer is looked for, unless its file is named.
struct Place {
  std::string given, directory;
  bool inside = false;  // `given` is the directory
};

Place place_of(Files& files, const ModelOptions& options) {
  const std::string& given = options.tokenizer.empty() ? options.path : options.tokenizer;
  const bool inside = is_directory(files, given);
  return {given, inside ? given : directory_of(given), inside};
}

VocabAndMerges read_vocab_and_merges(Files& files, const std::string& path,
                                     const std::string& model_type) {
  VocabAndMerges parts;
  parts.vocabulary = read_json_object(files, path, kMaxTokenizerBytes);
  parts.merges = files.read_text(join_path(directory_of(path), "merges.txt"), kMaxTokenizerBytes);
  parts.config = object_beside(files, path, kConfig);
  parts.special = object_beside(files, path, kSpecial);
  parts.added = object_beside(files, path, kAdded);
  parts.model_type = model_type;
  return parts;
}

// What a tokenizer is made of has been read: errors from here on are of what it says.
template <class Make>
TokenizerFromFiles make_of(const std::string& path, const Make& make) {
  try {
    return make();
  } catch (const Error& error) {
    fail("{}: {}", path, error.what());
  }
}

TokenizerFromFiles made_from(const VocabTokenizer& made) {
  TokenizerFromFiles from{make_tokenizer(made.json), {}};
  if (made.begin_token) from.special.emplace("bos_token", *made.begin_token);
  if (made.end_token) from.special.emplace("eos_token", *made.end_token);
  return from;
}

}  // namespace

std::string find_tokenizer(Files& files, const ModelOptions& options) {
  const Place place = place_of(files, options);
  if (!options.tokenizer.empty() && !place.inside) return place.given;
  for (const char* name : kTokenizerNames) {
    std::string path = join_path(place.directory, name);
    if (files.stat(path)) return path;
  }
  return "";
}

std::string need_tokenizer(Files& files, const ModelOptions& options) {
  std::string found = find_tokenizer(files, options);
  if (!found.empty()) return found;
  const Place place = place_of(files, options);
  fail("{}: no {} {} it; name one with \"tokenizer\"", place.given,
       fmt::join(kTokenizerNames, ", "), place.inside ? "in" : "beside");
}

TokenizerFromFiles read_tokenizer(Files& files, const std::string& path,
                                  const std::string& model_type) {
  const std::string name(name_of(path));
  if (name == "vocab.json") {
    const VocabAndMerges parts = read_vocab_and_merges(files, path, model_type);
    return make_of(path, [&] { return made_from(tokenizer_json_from_vocab(parts)); });
  }
  if (!name.ends_with(".json")) refuse_foreign(files, path);
  const std::string content = files.read_text(path, kMaxTokenizerBytes);
  if (name == "vocab.txt") {
    const Json config = object_beside(files, path, kConfig);
    return make_of(path, [&] { return made_from(tokenizer_json_from_vocab_txt(content, config)); });
  }
  if (is_tiktoken(content)) {
    const TiktokenFiles parts{name, content, object_beside(files, path, kConfig), model_type};
    return make_of(path, [&] { return made_from(tokenizer_json_from_tiktoken(parts)); });
  }
  if (path.ends_with(".model")) {
    return make_of(path, [&]() -> TokenizerFromFiles {
      return {make_sentencepiece_tokenizer(content), {}};
    });
  }
  Json json = parse_json(content, path);
  if (!json.is_object()) {
    fail("{}: expected a JSON object, found {}", path, json.type_name());
  }
  const FilesBesideTokenizer beside{object_beside(files, path, kConfig),
                                    object_beside(files, path, kSpecial),
                                    object_beside(files, path, kAdded)};
  return make_of(path, [&]() -> TokenizerFromFiles {
    if (is_tekken(json)) return made_from(tokenizer_json_from_tekken(json));
    add_tokens_beside(json, beside);
    return {make_tokenizer(json), {}};
  });
}

SpecialTexts special_texts_beside(Files& files, const std::string& tokenizer) {
  const Json config = object_beside(files, tokenizer, kConfig);
  const Json map = object_beside(files, tokenizer, kSpecial);
  SpecialTexts texts;
  for (const char* key : kSpecialRoles) {
    auto text = special_token_text(config, key);
    if (!text) text = special_token_text(map, key);
    if (text) texts.emplace(key, *std::move(text));
  }
  return texts;
}

std::optional<TokenId> special_token_id(Files& files, const std::string& path,
                                        const Tokenizer& tokenizer, const std::string& text) {
  if (const auto id = tokenizer.token_id(text)) return id;
  const Json config = object_beside(files, path, kConfig);
  const auto decoder = config.find("added_tokens_decoder");
  if (decoder != config.end() && decoder->is_object()) {
    for (const auto& [key, token] : decoder->items()) {
      TokenId id = -1;
      const auto [rest, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      const bool whole = error == std::errc() && rest == key.data() + key.size() && id >= 0;
      if (whole && token.is_object() && token.value("content", Json()) == text) return id;
    }
  }
  const Json added = object_beside(files, path, kAdded);
  const auto found = added.find(text);
  if (found == added.end() || !found->is_number_unsigned()) return {};
  const auto id = found->get<std::uint64_t>();
  if (id >= static_cast<std::uint64_t>(kTokenIdLimit)) return {};
  return static_cast<TokenId>(id);
}

}  // namespace initrt
