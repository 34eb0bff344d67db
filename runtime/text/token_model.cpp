#include "runtime/text/token_model.h"

#include <algorithm>

#include "runtime/text/bpe.h"
#include "runtime/text/unigram.h"
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

std::unique_ptr<TokenModel> make_token_model(const JsonNode& json) {
  const std::optional<JsonNode> type = json.find("type");
  if (!type || type->string() == "BPE") return std::make_unique<Bpe>(json);
  if (type->string() == "Unigram") return std::make_unique<Unigram>(json);
  type->expected("a model type known here (\"BPE\", \"Unigram\")");
}

}  // namespace initrt
