// The WordPiece model of tokenizer.json (BERT's): the longest token that a word begins with, then
// the longest that its rest does, with a mark for what continues a word.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/token_model.h"

namespace initrt {

class WordPiece final : public TokenModel {
 public:
  /// From the member `model`. @throws Error naming the key that is malformed
  explicit WordPiece(const JsonNode& model);

  /// A word that cannot be made of tokens, or is longer than max_input_chars_per_word, is the
  /// unknown token.
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;

 private:
  std::string continuing_;                         ///< e.g. "##"
  std::size_t most_characters_ = 0, longest_ = 0;  ///< of a word; bytes of the longest token
  TokenId unknown_ = 0;
};

}  // namespace initrt
