// Greedy and random choice of a token.
#include "runtime/text/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "sharding/error.h"
#include "sharding/philox.h"

namespace initrt {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The lowest id with the largest logit.
Sampled arg_max(std::span<const float> logits) {
  Sampled best{0, -kInfinity};
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const Sampled own{static_cast<std::uint32_t>(id), logits[id]};
    if (std::isnan(own.logit) || own.logit == kInfinity) return own;
    if (own.logit > best.logit) best = own;
  }
  return best;
}

// What a filter leaves: the logits above `least`, and of those equal to it the ids up to `last`.
struct Limit {
  float least = -kInfinity;
  std::size_t last = std::numeric_limits<std::size_t>::max();

  [[nodiscard]] bool keeps(float logit, std::size_t id) const {
    return logit > least || (logit == least && id <= last);
  }
};

// Whole numbers in the order of the floats they stand for. Adding 0 makes -0 equal 0.
std::uint32_t to_key(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}

float from_key(std::uint32_t key) {
  return std::bit_cast<float>((key >> 31) != 0 ? key & 0x7FFFFFFFu : ~key);
}

// The fewest of the kept logits, from the largest and of equal ones from the lowest id, whose
// masses reach target(sum of all masses). A radix selection: sums per value of the key's first 11
// bits tell those of the smallest of them, and so on with 11 and 10 more bits among the logits that
// begin with these. Nothing is sorted, and few logits are looked at twice.
template <class Mass, class Target>
Limit reach(std::span<const float> logits, const Limit& kept, const Mass& mass,
            const Target& target) {
  double above = 0, goal = 0;      // masses of all larger logits; what is to be reached
  std::uint32_t prefix = 0;        // the bits known
  std::uint32_t shift = 32;        // the bits not known
  std::vector<std::uint32_t> ids;  // of the logits that begin with them, but for the first round
  for (const std::uint32_t bits : {11u, 11u, 10u}) {
    std::array<double, 2048> sums{};
    const std::uint32_t below = shift - bits, mask = (1u << bits) - 1;
    const auto add = [&](std::size_t id) {
      if (kept.keeps(logits[id], id)) {
        sums[(to_key(logits[id]) >> below) & mask] += mass(logits[id]);
      }
    };
    if (shift == 32) {
      for (std::size_t id = 0; id < logits.size(); ++id) add(id);
      goal = target(std::accumulate(sums.begin(), sums.end(), 0.0));
    } else {
      for (const std::uint32_t id : ids) add(id);
    }
    std::uint32_t lowest = 0, at = mask;
    while (lowest < mask && sums[lowest] == 0) ++lowest;
    while (at > lowest && above + sums[at] < goal) above += sums[at--];
    prefix = (prefix << bits) | at;
    if (shift == 32) {
      for (std::size_t id = 0; id < logits.size(); ++id) {
        if (to_key(logits[id]) >> below == prefix) ids.push_back(static_cast<std::uint32_t>(id));
      }
    } else {
      std::erase_if(ids, [&](std::uint32_t id) { return to_key(logits[id]) >> below != prefix; });
    }
    shift = below;
  }
  Limit reached{from_key(prefix), 0};
  for (std::size_t i = 0; i < ids.size() && above < goal; ++i) {
    if (!kept.keeps(logits[ids[i]], ids[i])) continue;
    above += mass(logits[ids[i]]);
    reached.last = ids[i];
  }
  return reached;
}

// The id at which the running sum of weights, in the order of ids, passes `part` of them all. Sums
// of blocks are kept, so that weights are computed once and those of one block again.
template <class Weight>
TokenId draw(std::size_t ids, const Weight& weight, double part, TokenId at_the_end) {
  constexpr std::size_t kBlock = 256;
  std::vector<double> blocks;
  for (std::size_t id = 0; id < ids;) {
    double sum = 0;
    for (const std::size_t end = std::min(ids, id + kBlock); id < end; ++id) {
      // Few have a weight, and a chain of sums is slower than a branch that is nearly always right.
      if (const double own = weight(id); own > 0) sum += own;
    }
    blocks.push_back(sum);
  }
  const double goal = part * std::accumulate(blocks.begin(), blocks.end(), 0.0);
  double reached = 0;
  std::size_t block = 0;
  while (block + 1 < blocks.size() && reached + blocks[block] <= goal) reached += blocks[block++];
  for (std::size_t id = block * kBlock; id < std::min(ids, (block + 1) * kBlock); ++id) {
    reached += weight(id);
    if (goal < reached) return static_cast<TokenId>(id);
  }
  return at_the_end;  // where rounding leaves the goal at the very end of the sum
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
  if (!(options.min_p >= 0 && options.min_p <= 1)) {
    fail("sampling: min_p must be from 0 (off) to 1, but is {}", options.min_p);
  }
  if (!(options.repetition_penalty > 0) || std::isinf(options.repetition_penalty)) {
    fail("sampling: repetition_penalty must be above 0 (1 is off), but is {}",
         options.repetition_penalty);
  }
}

std::vector<float> penalize(std::span<float> logits, std::span<const TokenId> seen, float penalty) {
  std::vector<float> before;
  if (penalty == 1) return before;
  before.reserve(seen.size());
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const TokenId id : seen) {
    float& logit = logits[static_cast<std::size_t>(id)];
    before.push_back(logit);
    if (!std::isfinite(logit)) continue;  // ruled out, or for sample() to refuse
    logit = std::clamp(logit < 0 ? logit * penalty : logit / penalty, -kMax, kMax);
  }
  return before;
}

double draw_of(std::uint64_t seed, std::uint64_t stream, std::uint64_t step) {
  const auto bits = philox4x32(seed, step, stream);
  const std::uint64_t whole = (static_cast<std::uint64_t>(bits[1]) << 32) | bits[0];
  return static_cast<double>(whole >> 11) * 0x1p-53;
}

TokenId token_of(const Sampled& sampled, std::size_t vocabulary) {
  if (std::isnan(sampled.logit) || sampled.logit == kInfinity) {
    fail(
        "sampling: the logit of token {} is {}, so the model's weights or inputs are not finite "
        "(float16 ends at 65504; bf16-true has float32's range)",
        sampled.id, sampled.logit);
  }
  if (std::isinf(sampled.logit)) fail("sampling: none of the {} logits is finite", vocabulary);
  return static_cast<TokenId>(sampled.id);
}

TokenId sample(std::span<const float> logits, const SamplerOptions& options, std::uint64_t stream,
               std::uint64_t step) {
  check(options);
  const TokenId best = token_of(arg_max(logits), logits.size());
  if (options.temperature == 0) return best;

  const double largest = logits[static_cast<std::size_t>(best)];
  const auto weight = [&](float logit) {
    return std::exp((logit - largest) / options.temperature);
  };
  Limit kept;
  if (options.top_k > 0 && static_cast<std::size_t>(options.top_k) < logits.size()) {
    kept = reach(
        logits, kept, [](float) { return 1.0; }, [&](double) { return options.top_k; });
  }
  if (options.top_p < 1) {
    kept = reach(logits, kept, weight, [&](double sum) { return options.top_p * sum; });
  }
  // The likeliest token's weight is 1, which makes min_p a weight. What is filtered out has none
  // and sums are in the order of ids: a filter that keeps everything changes nothing.
  const auto kept_weight = [&](std::size_t id) {
    const double own = kept.keeps(logits[id], id) ? weight(logits[id]) : 0.0;
    return own >= options.min_p ? own : 0.0;
  };
  return draw(logits.size(), kept_weight, draw_of(options.seed, stream, step), best);
}

}  // namespace initrt
