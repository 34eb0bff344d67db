// The byte-pair-encoding model of tokenizer.json: a vocabulary and ranked merges.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

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
  struct Merge {
    std::uint32_t rank = 0;
    TokenId id = 0;  ///< what the pair becomes
  };
  struct Symbol {
    TokenId id = 0;  ///< -1 once merged into the symbol on its left
    std::int32_t previous = -1, next = -1;
  };

  void read_vocabulary(const JsonNode& json);
  void read_merges(const JsonNode& json);
  [[nodiscard]] std::vector<Symbol> symbols_of(std::string_view word) const;
  [[nodiscard]] const Merge* merge_of(TokenId left, TokenId right) const;

  std::unordered_map<std::uint64_t, Merge> merges_;  ///< by (left id << 32 | right id)
  std::optional<TokenId> unknown_;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;  ///< a word that is itself a token is not taken apart
};

}  // namespace initrt
