// The choice of the next token from its logits.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/text/tokenizer.h"

namespace initrt {

struct SamplerOptions {
  float temperature = 0.0f;  ///< 0: greedy, the largest logit (of equal ones the lowest id)
  int top_k = 0;             ///< choose among this many of the largest logits; 0: all
  float top_p = 1.0f;        ///< then among the fewest with this much probability; 1: all
  std::uint64_t seed = 0;
};

/// @throws Error where a value is out of its range: temperature and top_k >= 0, 0 < top_p <= 1
void check(const SamplerOptions& options);

/// The next token's id. A function of its arguments alone: no state is kept, so a prompt's text
/// does not depend on which rank or in which batch it runs.
/// @param logits one per id; -infinity rules an id out
/// @param stream index of the prompt; draws of different streams are independent
/// @param step index of the token in the prompt's answer
/// @throws Error where options are out of range, or a logit is NaN or +infinity, naming the id
[[nodiscard]] TokenId sample(std::span<const float> logits, const SamplerOptions& options,
                             std::uint64_t stream, std::uint64_t step);

}  // namespace initrt
