// The tokenizer of tokenizer.json: added tokens, normalizer, pre-tokenizer, model, post-processor,
// in that order; `encode` reads like the list.
#include "runtime/text/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "runtime/text/added_tokens.h"
#include "runtime/text/characters.h"
#include "runtime/text/decoder.h"
#include "runtime/text/json_node.h"
#include "runtime/text/normalizer.h"
#include "runtime/text/post_processor.h"
#include "runtime/text/pre_tokenizer.h"
#include "runtime/text/token_model.h"
#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

/// The tokens that are searched for in raw (`normalized` false) or in normalized text.
AddedTokenFinder finder(const std::vector<AddedToken>& tokens, bool normalized,
                        const Normalizer& normalizer) {
  std::vector<AddedToken> wanted;
  for (const AddedToken& token : tokens) {
    if (token.normalized != normalized) continue;
    wanted.push_back(token);
    std::size_t front = 0;
    if (normalized) wanted.back().content = normalizer(token.content, front);
  }
  return AddedTokenFinder(std::move(wanted));
}

class JsonTokenizer final : public Tokenizer {
 public:
  explicit JsonTokenizer(const JsonNode& json)
      : model_(make_token_model(json.at("model"))),
        added_(read_added_tokens(json.find("added_tokens"), *model_)),
        normalizer_(json.find("normalizer")),
        raw_finder_(finder(added_, false, normalizer_)),
        normalized_finder_(finder(added_, true, normalizer_)),
        pre_tokenizer_(json.find("pre_tokenizer")),
        post_processor_(make_post_processor(json.find("post_processor"))),
        decoder_(json.at("decoder")),
        vocabulary_(model_->id_end()) {
    for (std::size_t i = 0; i < added_.size(); ++i) {
      added_index_.emplace(added_[i].id, i);
      vocabulary_ = std::max(vocabulary_, static_cast<std::size_t>(added_[i].id) + 1);
    }
    check_ids(post_processor_.before, json);
    check_ids(post_processor_.after, json);
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    const std::string valid = to_valid_utf8(text);
    std::vector<TokenId> ids = post_processor_.before;
    WordCache cache;
    const auto add_token = [&](TokenId id) { ids.push_back(id); };
    const auto add_word = [&](std::string_view word) { encode_word(word, cache, ids); };
    const auto add_part = [&](std::string_view raw) {
      std::size_t front = raw.data() == valid.data() ? first_character(raw).size() : 0;
      const std::string normalized = normalizer_(raw, front);
      normalized_finder_.split(
          normalized,
          [&](std::string_view part) {
            const auto begin = static_cast<std::size_t>(part.data() - normalized.data());
            pre_tokenizer_.split(part, front - std::min(front, begin), add_word);
          },
          add_token);
    };
    raw_finder_.split(valid, add_part, add_token);
    ids.insert(ids.end(), post_processor_.after.begin(), post_processor_.after.end());
    return ids;
  }

  std::vector<TokenId> encode_bare(std::string_view text) const override {
    const std::vector<TokenId> ids = encode(text);
    return {ids.begin() + static_cast<std::ptrdiff_t>(post_processor_.before.size()),
            ids.end() - static_cast<std::ptrdiff_t>(post_processor_.after.size())};
  }

  std::string token_bytes(TokenId id) const override {
    if (const auto added = added_index_.find(id); added != added_index_.end()) {
      const AddedToken& token = added_[added->second];
      return token.special ? std::string() : decoder_(token.content);
    }
    const std::optional<std::string_view> token = model_->token_of(id);
    return token ? decoder_(*token) : std::string();
  }

  std::size_t vocabulary() const override { return vocabulary_; }

  std::optional<TokenId> token_id(std::string_view token) const override {
    for (const AddedToken& added : added_) {
      if (added.content == token) return added.id;
    }
    return model_->id_of(token);
  }

 private:
  /// Ids of words already met in this text, as (begin, count) in the ids given out: natural text
  /// repeats most of its words.
  using WordCache = std::unordered_map<std::string, std::pair<std::size_t, std::size_t>>;

  void encode_word(std::string_view word, WordCache& cache, std::vector<TokenId>& ids) const {
    const auto [entry, is_new] = cache.try_emplace(std::string(word), ids.size(), 0);
    auto& [begin, count] = entry->second;
    if (is_new) {
      model_->encode(word, ids);
      count = ids.size() - begin;
    } else {
      ids.resize(ids.size() + count);
      std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(begin), count,
                  ids.end() - static_cast<std::ptrdiff_t>(count));
    }
  }

  void check_ids(const std::vector<TokenId>& ids, const JsonNode& json) const {
    for (const TokenId id : ids) {
      if (!added_index_.contains(id) && !model_->token_of(id)) {
        fail("{}: id {} is that of no token", json.at("post_processor").path(), id);
      }
    }
  }

  std::unique_ptr<TokenModel> model_;
  std::vector<AddedToken> added_;
  std::unordered_map<TokenId, std::size_t> added_index_;  ///< id to index into added_
  Normalizer normalizer_;
  AddedTokenFinder raw_finder_, normalized_finder_;
  PreTokenizer pre_tokenizer_;
  PostProcessor post_processor_;
  Decoder decoder_;
  std::size_t vocabulary_ = 0;
};

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const nlohmann::json& tokenizer_json) {
  return std::make_unique<JsonTokenizer>(JsonNode(tokenizer_json, "tokenizer.json"));
}

}  // namespace initrt
