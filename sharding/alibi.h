// Attention with linear biases (ALiBi, Press et al. 2021, arXiv:2108.12409): instead of positions
// in the embedding, a score falls with its key's distance, in each head at a rate of its own.
#pragma once

#include <cstdint>

namespace initrt {

/// Head h's rate is 2^(exponent (h + 1)) of the first `heads`, a power of two; of those behind
/// them, which lie between, 2^(exponent (h - heads + 1/2)).
struct Alibi {
  float exponent = 0.0f;  ///< 0: no biases
  std::uint32_t heads = 0;
  float scale = 1.0f;  ///< of biases
  /// Rates, positions and their products are rounded to bfloat16, as Falcon has been trained.
  bool rounded = false;

  bool operator==(const Alibi&) const = default;
};

/// Biases of `heads` heads as the paper has them: rates down to 2^-most.
[[nodiscard]] Alibi alibi_of(std::uint32_t heads, float most = 8.0f);

/// A head's rate, rounded where biases are.
[[nodiscard]] float alibi_rate(const Alibi& alibi, std::uint32_t head);

}  // namespace initrt
