#include "runtime/text/token_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/text/bpe.h"
#include "runtime/text/ranked_bpe.h"
#include "runtime/text/unigram.h"
#include "runtime/text/word_piece.h"
#include "sharding/error.h"

namespace initrt {

std::optional<TokenId> TokenModel::id_of(std::string_view token) const {
  const auto entry = ids_.find(token);
  return entry == ids_.end() ? std::nullopt : std::optional(entry->second);
}

std::optional<std::string_view> TokenModel::token_of(TokenId id) const {
  const auto entry = tokens_.find(id);
  return entry == tokens_.end() ? std::nullopt : std::optional(entry->second);
}

void TokenModel::add_token(std::string_view token, TokenId id, const JsonNode& json) {
  const auto [entry, new_token] = ids_.emplace(token, id);
  if (!new_token) {
    fail("{}[{}]: {} is also the token of id {}", json.path(), id, in_quotes(token), entry->second);
  }
  const auto [other, new_id] = tokens_.emplace(id, entry->first);
  if (!new_id) {
    fail("{}: {} and {} have the same id {}", json.path(), in_quotes(other->second),
         in_quotes(token), id);
  }
  id_end_ = std::max(id_end_, static_cast<std::size_t>(id) + 1);
}

void TokenModel::use_byte_tokens() {
  for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    byte_tokens_[byte] = id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

void TokenModel::read_vocabulary(const JsonNode& json) {
  if (!json.value().is_object()) json.expected("an object of token to id");
  if (json.value().empty()) fail("{} is empty", json.path());
  for (const auto& [token, value] : json.value().items()) {
    if (!value.is_number_integer() || value.get<std::uint64_t>() >= kTokenIdLimit) {
      fail("{}: the id of {} must be from 0 to {}, but is {}", json.path(), in_quotes(token),
           kTokenIdLimit - 1, value.is_number() ? value.dump() : value.type_name());
    }
    add_token(token, value.get<TokenId>(), json);
  }
}

std::unique_ptr<TokenModel> make_token_model(const JsonNode& json) {
  const std::optional<JsonNode> type = json.find("type");
  if (!type || type->string() == "BPE") return std::make_unique<Bpe>(json);
  if (type->string() == "Unigram") return std::make_unique<Unigram>(json);
  if (type->string() == "WordPiece") return std::make_unique<WordPiece>(json);
  if (type->string() == kRankedBpe) return std::make_unique<RankedBpe>(json);
  type->expected("a model type known here (\"BPE\", \"Unigram\", \"WordPiece\")");
}

}  // namespace initrt
