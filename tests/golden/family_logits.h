// The prompt of tests/golden/families/ and what a model makes of it, against the references.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tests/support/rank_model.h"

namespace initrt::testing {

/// Tokens of the prompt, and with those that follow it one by one.
constexpr std::uint32_t kPrompt = 48, kTokens = 64;

/// families/tokens.json
[[nodiscard]] std::vector<TokenId> family_tokens();

/// A world of one rank that has all tokens' logits in one sweep.
[[nodiscard]] Setting family_setting();

/// Logits of all tokens, [tokens, vocabulary]: the prompt in chunks, then token by token.
/// Collective.
[[nodiscard]] std::vector<float> logits_in_chunks(Engine& engine, std::uint32_t chunk);

/// The same of a model on one rank, the prompt in one chunk.
[[nodiscard]] std::vector<float> logits_on_one_rank(const OpenModel& model);

/// A failure where a logit of the first tokens is more than 1e-4 off.
/// @param reference a .npy file of [tokens, vocabulary]
/// @param mine of these tokens or more
void expect_logits_of(const std::string& reference, const std::vector<float>& mine,
                      std::size_t vocabulary, std::size_t tokens = kTokens);

}  // namespace initrt::testing
