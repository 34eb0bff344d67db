// The byte-pair-encoding model of tokenizer.json: a vocabulary and ranked merges.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/text/bpe_merging.h"
#include "runtime/text/token_model.h"

namespace initrt {

class Bpe final : public TokenModel {
 public:
  /// From the member `model`. Merges may be strings ("a b") or pairs (["a", "b"]); of two merges
  /// of the same pair the last one counts, as in the reference.
  /// @throws Error naming the key that is malformed, or the feature not known (dropout, subword
  ///   prefixes and suffixes)
  explicit Bpe(const JsonNode& model);

  /// A character that is not in the vocabulary becomes its bytes' tokens, where the model falls
  /// back to them; else the unknown token, or, where the model has none, nothing (as in the
  /// reference).
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;

 private:
  void read_merges(const JsonNode& json);
  [[nodiscard]] std::vector<BpeSymbol> symbols_of(std::string_view word) const;
  [[nodiscard]] std::optional<BpeMerge> merge_of(TokenId left, TokenId right) const;

  std::unordered_map<std::uint64_t, BpeMerge> merges_;  ///< by (left id << 32 | right id)
  std::optional<TokenId> unknown_;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;  ///< a word that is itself a token is not taken apart
};

}  // namespace initrt
