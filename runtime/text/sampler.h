// The choice of the next token from its logits, on the host; devices that do it themselves are
// given the same options and draws.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/text/tokenizer.h"
#include "sharding/sampling.h"

namespace initrt {

/// @throws Error where a value is out of its range: temperature and top_k >= 0, 0 < top_p <= 1,
///         0 <= min_p <= 1, repetition_penalty > 0
void check(const SamplerOptions& options);

/// Makes tokens that have come up less likely (a penalty above 1) or more: their logits are divided
/// by it where they are above 0, and multiplied where below (Keskar et al., "CTRL", 2019).
/// @param seen distinct ids of the prompt's and the answer's tokens, within the vocabulary
/// @returns the logits before, in the order of `seen`; nothing where the penalty is 1
[[nodiscard]] std::vector<float> penalize(std::span<float> logits, std::span<const TokenId> seen,
                                          float penalty);

/// Where in [0, 1) of all probability, in the order of ids, a token is drawn.
/// @param stream index of the prompt; draws of different streams are independent
/// @param step index of the token in the prompt's answer
[[nodiscard]] double draw_of(std::uint64_t seed, std::uint64_t stream, std::uint64_t step);

/// The token that was chosen. @param vocabulary how many logits there were
/// @throws Error where none could be, saying why
[[nodiscard]] TokenId token_of(const Sampled& sampled, std::size_t vocabulary);

/// The next token's id. A function of its arguments alone: no state is kept, so a prompt's text
/// does not depend on which rank or in which batch it runs.
/// @param logits one per id, penalized already; -infinity rules an id out
/// @param stream, step as draw_of() takes them
/// @throws Error where options are out of range, or a logit is NaN or +infinity, naming the id
[[nodiscard]] TokenId sample(std::span<const float> logits, const SamplerOptions& options,
                             std::uint64_t stream, std::uint64_t step);

}  // namespace initrt
