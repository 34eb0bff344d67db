// Reading of the BPE model.
#include "runtime/text/bpe.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/text/utf8.h"
#include "sharding/error.h"

namespace initrt {
namespace {

std::uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint32_t>(right);
}

/// The two tokens of a merge in either of its two spellings.
std::pair<std::string_view, std::string_view> halves_of(const nlohmann::json& merge,
                                                        const JsonNode& all, std::size_t index) {
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
             merge[1].is_string()) {
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  }
  all.item(index).expected("two tokens, as \"a b\" or as [\"a\", \"b\"]");
}

/// Fails where the model asks for something that would change ids and is not implemented.
void check_features(const JsonNode& model) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const std::optional<JsonNode> affix = model.find(key);
    if (affix && !affix->string().empty()) affix->expected("null or empty (not supported yet)");
  }
  const std::optional<JsonNode> dropout = model.find("dropout");
  if (dropout && dropout->value() != 0.0) {
    dropout->expected("null (dropout makes ids random and is for training)");
  }
}

}  // namespace

Bpe::Bpe(const JsonNode& model) {
  check_features(model);
  read_vocabulary(model.at("vocab"));
  read_merges(model.at("merges"));
  if (model.flag("byte_fallback", false)) use_byte_tokens();
  fuse_unknown_ = model.flag("fuse_unk", false);
  ignore_merges_ = model.flag("ignore_merges", false);
  const std::optional<JsonNode> unknown = model.find("unk_token");
  if (unknown && !unknown->string().empty()) {
    unknown_ = id_of(unknown->string());
    if (!unknown_) unknown->expected("a token of the vocabulary");
  }
}

void Bpe::read_merges(const JsonNode& json) {
  const std::size_t count = json.size();
  if (count > std::numeric_limits<std::uint32_t>::max()) fail("{}: too many", json.path());
  merges_.reserve(count);
  std::string whole;
  for (std::size_t rank = 0; rank < count; ++rank) {
    const auto [left, right] = halves_of(json.value()[rank], json, rank);
    const auto known = [&](std::string_view token) {
      const std::optional<TokenId> id = id_of(token);
      if (!id) fail("{}[{}]: {} is not in the vocabulary", json.path(), rank, in_quotes(token));
      return *id;
    };
    whole = left;
    whole += right;
    const std::uint64_t key = pair_key(known(left), known(right));
    merges_[key] = {static_cast<std::uint32_t>(rank), known(whole)};
  }
}

std::optional<BpeMerge> Bpe::merge_of(TokenId left, TokenId right) const {
  const auto entry = merges_.find(pair_key(left, right));
  return entry == merges_.end() ? std::nullopt : std::optional(entry->second);
}

std::vector<BpeSymbol> Bpe::symbols_of(std::string_view word) const {
  if (word.size() > std::numeric_limits<std::int32_t>::max()) {
    fail("a word of {} bytes is too long to tokenize", word.size());
  }
  std::vector<BpeSymbol> symbols;
  symbols.reserve(word.size());
  const auto add = [&](TokenId id) {
    const auto at = static_cast<std::int32_t>(symbols.size());
    if (at > 0) symbols.back().next = at;
    symbols.push_back({id, at - 1, -1, 0, 0});
  };
  // The reference holds an unknown token back until a known character or another unknown one
  // follows; tokens of bytes go past it.
  bool unknown_waits = false;
  while (!word.empty()) {
    const std::string_view character = word.substr(0, utf8_step(word).bytes);
    word.remove_prefix(character.size());
    if (const std::optional<TokenId> known = id_of(character)) {
      if (unknown_waits) add(*unknown_);
      unknown_waits = false;
      add(*known);
    } else if (!append_bytes(character, add) && unknown_) {
      if (unknown_waits && !fuse_unknown_) add(*unknown_);
      unknown_waits = true;
    }
  }
  if (unknown_waits) add(*unknown_);
  return symbols;
}

void Bpe::encode(std::string_view word, std::vector<TokenId>& ids) const {
  if (ignore_merges_) {
    if (const std::optional<TokenId> id = id_of(word)) return ids.push_back(*id);
  }
  std::vector<BpeSymbol> symbols = symbols_of(word);
  const auto merge = [this](const BpeSymbol& left, const BpeSymbol& right) {
    return merge_of(left.id, right.id);
  };
  merge_symbols(symbols, merge, ids);
}

}  // namespace initrt
