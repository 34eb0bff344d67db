// Greedy and random choice of a token.
#include "runtime/text/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "sharding/error.h"
#include "sharding/philox.h"

namespace initrt {
namespace {

/// Uniform in [0, 1), a multiple of 2^-53.
double uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t step) {
  const auto bits = philox4x32(seed, step, stream);
  const std::uint64_t whole = (static_cast<std::uint64_t>(bits[1]) << 32) | bits[0];
  return static_cast<double>(whole >> 11) * 0x1p-53;
}

/// The lowest id with the largest logit.
TokenId arg_max(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id]) || logits[id] == std::numeric_limits<float>::infinity()) {
      fail("sampling: the logit of token {} is {}, so the model's weights or inputs are not finite",
           id, logits[id]);
    }
    if (logits[id] > logits[best]) best = id;
  }
  if (logits.empty() || std::isinf(logits[best])) {
    fail("sampling: none of the {} logits is finite", logits.size());
  }
  return static_cast<TokenId>(best);
}

struct Candidate {
  TokenId id = 0;
  double weight = 0;  ///< exp((logit - largest logit) / temperature)
};

/// The fewest candidates, from the first, whose weights reach top_p of the sum of all.
std::size_t nucleus(const std::vector<Candidate>& sorted, double top_p) {
  double sum = 0;
  for (const Candidate& candidate : sorted) sum += candidate.weight;
  double reached = 0;
  std::size_t count = 0;
  while (count < sorted.size() && reached < top_p * sum) reached += sorted[count++].weight;
  return std::max<std::size_t>(count, 1);
}

}  // namespace

void check(const SamplerOptions& options) {
  if (!(options.temperature >= 0) || std::isinf(options.temperature)) {
    fail("sampling: temperature must be 0 (greedy) or more, but is {}", options.temperature);
  }
  if (options.top_k < 0) fail("sampling: top_k must be 0 (off) or more, but is {}", options.top_k);
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    fail("sampling: top_p must be above 0 and at most 1 (off), but is {}", options.top_p);
  }
}

TokenId sample(std::span<const float> logits, const SamplerOptions& options, std::uint64_t stream,
               std::uint64_t step) {
  check(options);
  const TokenId best = arg_max(logits);
  if (options.temperature == 0) return best;

  std::vector<Candidate> candidates(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) {
    candidates[id].id = static_cast<TokenId>(id);
  }
  const auto larger_logit = [&](const Candidate& a, const Candidate& b) {
    return logits[a.id] != logits[b.id] ? logits[a.id] > logits[b.id] : a.id < b.id;
  };
  if (options.top_k > 0 && static_cast<std::size_t>(options.top_k) < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + options.top_k, candidates.end(),
                     larger_logit);
    candidates.resize(static_cast<std::size_t>(options.top_k));
  }
  for (Candidate& candidate : candidates) {
    candidate.weight =
        std::exp((static_cast<double>(logits[candidate.id]) - logits[best]) / options.temperature);
  }
  if (options.top_p < 1) {
    std::sort(candidates.begin(), candidates.end(), larger_logit);
    candidates.resize(nucleus(candidates, options.top_p));
  }
  // Sums are taken in the order of ids, whatever the filters did: a filter that keeps everything
  // changes nothing.
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.weight;
  const double draw = uniform(options.seed, stream, step) * sum;
  double reached = 0;
  TokenId chosen = best;  // where rounding leaves the draw at the very end of the sum
  for (const Candidate& candidate : candidates) {
    reached += candidate.weight;
    if (draw < reached) {
      chosen = candidate.id;
      break;
    }
  }
  return chosen;
}

}  // namespace initrt
