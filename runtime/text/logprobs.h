// Log-probabilities of tokens, in the model's own distribution.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/text/tokenizer.h"

namespace initrt {

struct TokenLogprob {
  TokenId id = 0;
  float logprob = 0;  ///< natural logarithm; -infinity where the model rules the token out
  bool operator==(const TokenLogprob&) const = default;
};

/// Of log_softmax(logits): the chosen token's, then those of the `count` likeliest, likeliest
/// first, of equal ones the lowest id. Sums are taken in double, in the order of ids.
/// @param logits one per id, at least one finite, none NaN or +infinity
[[nodiscard]] std::vector<TokenLogprob> log_probabilities(std::span<const float> logits,
                                                          TokenId chosen, std::size_t count);

}  // namespace initrt
