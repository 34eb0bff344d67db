// Byte-pair encoding as tiktoken has it: there are no merges, two neighbours merge where their
// bytes together are a token, the token of the lowest rank first.
#pragma once

#include <string_view>
#include <vector>

#include "runtime/text/token_model.h"

namespace initrt {

/// The model type that stands for it where a vocabulary is put into the form of a tokenizer.json.
inline constexpr std::string_view kRankedBpe = "RankedBPE";

class RankedBpe final : public TokenModel {
 public:
  /// From {"type", "vocab"}: tokens in the byte-level alphabet, whose ids are in the order of their
  /// ranks; all 256 bytes are among them.
  /// @throws Error naming the key that is malformed, or the byte that has no token
  explicit RankedBpe(const JsonNode& model);

  /// A word that is itself a token is not taken apart.
  void encode(std::string_view word, std::vector<TokenId>& ids) const override;
};

}  // namespace initrt
