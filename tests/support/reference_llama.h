// The LLaMA forward pass as its formulas read, in float64, one token after the other: what the
// engine's logits are checked against. Shares no code with it.
#pragma once

#include <span>
#include <vector>

#include "runtime/text/tokenizer.h"
#include "tests/support/small_llama.h"

namespace initrt::testing {

/// Logits of every position, [tokens, vocabulary].
[[nodiscard]] std::vector<double> reference_logits(const SmallLlama& model,
                                                   const std::vector<SmallTensor>& tensors,
                                                   std::span<const TokenId> tokens);

}  // namespace initrt::testing
