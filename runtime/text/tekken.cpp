// As mistral_common reads it (tokens/tokenizers/tekken.py).
#include "runtime/text/tekken.h"

#include <array>
#include <optional>
#include <unordered_set>

#include "runtime/text/base64.h"
#include "runtime/text/byte_level.h"
#include "runtime/text/json_node.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using nlohmann::json;

// Of files that list none, which versions up to 7 may be.
constexpr std::array<std::string_view, 20> kOldSpecials = {"<unk>",
                                                           "<s>",
                                                           "</s>",
                                                           "[INST]",
                                                           "[/INST]",
                                                           "[AVAILABLE_TOOLS]",
                                                           "[/AVAILABLE_TOOLS]",
                                                           "[TOOL_RESULTS]",
                                                           "[/TOOL_RESULTS]",
                                                           "[TOOL_CALLS]",
                                                           "[IMG]",
                                                           "<pad>",
                                                           "[IMG_BREAK]",
                                                           "[IMG_END]",
                                                           "[PREFIX]",
                                                           "[MIDDLE]",
                                                           "[SUFFIX]",
                                                           "[SYSTEM_PROMPT]",
                                                           "[/SYSTEM_PROMPT]",
                                                           "[TOOL_CONTENT]"};

// What is special: all ids below `count`.
json special_tokens(const JsonNode& file, std::size_t count) {
  std::vector<std::string> names(count);
  std::size_t listed = 0;
  const auto name = [&](const std::string& path, std::size_t id, const std::string& text) {
    if (id >= count) {
      fail("{}: the id {} is not below config.default_num_special_tokens, {}", path, id, count);
    }
    if (!names[id].empty()) fail("{}: the id {} a second time", path, id);
    names[id] = text;
    ++listed;
  };
  if (const auto specials = file.find("special_tokens")) {
    for (std::size_t i = 0; i < specials->size(); ++i) {
      const JsonNode token = specials->item(i);
      name(token.path(), token.at("rank").count(), token.at("token_str").utf8());
    }
  } else {
    for (std::size_t id = 0; id < kOldSpecials.size() && id < count; ++id) {
      name(file.path(), id, std::string(kOldSpecials[id]));
    }
  }
  json list = json::array();
  for (std::size_t id = 0; id < count; ++id) {
    const std::string text = names[id].empty() ? fmt::format("<SPECIAL_{}>", id) : names[id];
    list.push_back(added_token_json(id, text, true, false));
  }
  return list;
}

json ranked_tokens(const JsonNode& vocab, std::size_t count, std::size_t specials) {
  json vocabulary = json::object();
  for (std::size_t rank = 0; rank < count; ++rank) {
    const JsonNode token = vocab.item(rank);
    if (token.at("rank").count() != rank) {
      token.at("rank").expected(fmt::format("{}, its place", rank));
    }
    const JsonNode text = token.at("token_bytes");
    const auto bytes = from_base64(text.string());
    if (!bytes || bytes->empty()) text.expected("the bytes of a token in base64");
    if (!vocabulary.emplace(to_byte_level(*bytes), specials + rank).second) {
      fail("{}: {} is also another token", text.path(), in_quotes(text.string()));
    }
  }
  return vocabulary;
}

std::optional<std::size_t> id_of(const json& tokens, std::string_view text) {
  for (const json& token : tokens) {
    if (token["content"] == text) return token["id"].get<std::size_t>();
  }
  return std::nullopt;
}

}  // namespace

bool is_tekken(const json& content) {
  const auto config = content.find("config");
  return config != content.end() && config->is_object() && config->contains("pattern") &&
         content.contains("vocab");
}

VocabTokenizer tokenizer_json_from_tekken(const json& content) {
  const JsonNode file(content, "tekken.json");
  const JsonNode config = file.at("config");
  const std::size_t size = config.at("default_vocab_size").count();
  const std::size_t specials = config.at("default_num_special_tokens").count();
  const JsonNode vocab = file.at("vocab");
  if (size >= kTokenIdLimit || specials > size || size - specials > vocab.size()) {
    config.at("default_vocab_size")
        .expected(fmt::format("from {} special tokens to those and the {} of vocab", specials,
                              vocab.size()));
  }
  json added = special_tokens(file, specials);
  VocabTokenizer made;
  json post_processor;
  if (const auto begin = id_of(added, "<s>")) {
    made.begin_token = "<s>";
    post_processor = begin_with_json("<s>", *begin);
  }
  if (id_of(added, "</s>")) made.end_token = "</s>";
  made.json = ranked_tokenizer_json(ranked_tokens(vocab, size - specials, specials),
                                    config.at("pattern").utf8(), std::move(added), post_processor);
  return made;
}

}  // namespace initrt
