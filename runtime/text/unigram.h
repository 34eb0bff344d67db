// The unigram model of tokenizer.json (Kudo 2018): each token has a score, the logarithm of how
// likely it is, and a word becomes the tokens whose scores have the largest sum.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "runtime/text/prefixes.h"
#include "runtime/text/token_model.h"

namespace initrt {

class Unigram final : public TokenModel {
 public:
  /// From the member `model`.
  /// @throws Error naming the key that is malformed
  explicit Unigram(const JsonNode& model);

  /// Characters that no token has become the unknown token, one for all in a row, or their bytes'
  /// tokens, where the model falls back to them.
  /// @throws Error where there is such a character and the model has no unknown token
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;

 private:
  struct Piece {
    TokenId id = 0;
    double score = 0;
  };
  /// The best way to have the text up to some byte.
  struct Node {
    TokenId id = -1;        ///< of its last token
    std::size_t begin = 0;  ///< where that one begins
    double score = 0;
    bool reached = false;
  };

  void read_pieces(const JsonNode& json);
  [[nodiscard]] std::vector<Node> best_paths(std::string_view word) const;

  Prefixes<Piece> pieces_;
  std::optional<TokenId> unknown_;
  double unknown_score_ = 0;
  std::string path_;  ///< of the model, for errors
};

}  // namespace initrt
