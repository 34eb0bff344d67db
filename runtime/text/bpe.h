// The byte-pair-encoding model of tokenizer.json: a vocabulary and ranked merges.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/text/json_node.h"

namespace initrt {

class Bpe {
 public:
  /// From the member `model`. Merges may be strings ("a b") or pairs (["a", "b"]); of two merges
  /// of the same pair the last one counts, as in the reference.
  /// @throws Error naming the key that is malformed, or the feature not known (byte_fallback,
  ///   dropout, subword prefixes and suffixes)
  explicit Bpe(const JsonNode& model);

  /// Appends the ids of one word. A character that is not in the vocabulary becomes the unknown
  /// token, or, where the model has none, nothing (as in the reference).
  void encode(std::string_view word, std::vector<TokenId>& ids) const;

  [[nodiscard]] std::optional<TokenId> id_of(std::string_view token) const;
  /// The token with this id, or nothing where there is none.
  [[nodiscard]] std::optional<std::string_view> token_of(TokenId id) const;
  /// One more than the largest id.
  [[nodiscard]] std::size_t id_end() const { return id_end_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
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

  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  std::unordered_map<TokenId, std::string_view> tokens_;  ///< views of the keys of ids_
  std::unordered_map<std::uint64_t, Merge> merges_;       ///< by (left id << 32 | right id)
  std::size_t id_end_ = 0;
  std::optional<TokenId> unknown_;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;  ///< a word that is itself a token is not taken apart
};

}  // namespace initrt
