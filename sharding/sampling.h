// How a token is chosen from its logits, as the host's sampler and devices are asked to.
#pragma once

#include <cstdint>

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

  bool operator==(const SamplerOptions&) const = default;
};

/// What came of choosing. With a logit that is no finite number none could be chosen: with NaN or
/// +infinity `id` is the first that has such a logit, and with -infinity no logit is finite.
struct Sampled {
  std::uint32_t id = 0;
  float logit = 0.0f;  ///< of the id
};

}  // namespace initrt
