// The choice of the next token from its logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/text/tokenizer.h"

namespace initrt {

/// The filters apply in the order of transformers' LogitsProcessors: repetition_penalty (which
/// holds for greedy choice too), temperature, top_k, top_p, min_p.
struct SamplerOptions {
  float temperature = 0.0f;         ///< 0: greedy, the largest logit (of equal ones the lowest id)
  int top_k = 0;                    ///< choose among this many of the largest logits; 0: all
  float top_p = 1.0f;               ///< then among the fewest with this much probability; 1: all
  float min_p = 0.0f;               ///< then among those this likely beside the likeliest; 0: all
  float repetition_penalty = 1.0f;  ///< of tokens that have come up, see penalize(); 1: none
  std::uint64_t seed = 0;
};

/// @throws Error where a value is out of its range: temperature and top_k >= 0, 0 < top_p <= 1,
///         0 <= min_p <= 1, repetition_penalty > 0
void check(const SamplerOptions& options);

/// Makes tokens that have come up less likely (a penalty above 1) or more: their logits are divided
/// by it where they are above 0, and multiplied where below (Keskar et al., "CTRL", 2019).
/// @param seen distinct ids of the prompt's and the answer's tokens, within the vocabulary
/// @returns the logits before, in the order of `seen`; nothing where the penalty is 1
[[nodiscard]] std::vector<float> penalize(std::span<float> logits, std::span<const TokenId> seen,
                                          float penalty);

/// The next token's id. A function of its arguments alone: no state is kept, so a prompt's text
/// does not depend on which rank or in which batch it runs.
/// @param logits one per id, penalized already; -infinity rules an id out
/// @param stream index of the prompt; draws of different streams are independent
/// @param step index of the token in the prompt's answer
/// @throws Error where options are out of range, or a logit is NaN or +infinity, naming the id
[[nodiscard]] TokenId sample(std::span<const float> logits, const SamplerOptions& options,
                             std::uint64_t stream, std::uint64_t step);

}  // namespace initrt
