// Penalties and draws against the distributions that transformers' LogitsProcessor classes leave.
// The references and the script that made them are in tests/golden.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/text/sampler.h"
#include "sharding/philox.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using nlohmann::json;

constexpr std::uint64_t kSeed = 1234, kStream = 5;

SamplerOptions options_of(const json& given) {
  SamplerOptions options;
  options.temperature = given.at("temperature").get<float>();
  options.top_k = given.value("top_k", 0);
  options.top_p = given.value("top_p", 1.0f);
  options.min_p = given.value("min_p", 0.0f);
  options.repetition_penalty = given.value("repetition_penalty", 1.0f);
  options.seed = kSeed;
  return options;
}

// The uniform number of a draw: 53 bits of the generator's.
double uniform(std::uint64_t step) {
  const auto bits = philox4x32(kSeed, step, kStream);
  const std::uint64_t whole = (static_cast<std::uint64_t>(bits[1]) << 32) | bits[0];
  return static_cast<double>(whole >> 11) * 0x1p-53;
}

std::vector<TokenId> distinct(std::vector<TokenId> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

TEST(SamplingGolden, EveryDrawIsTheOneOfTransformersDistribution) {
  std::ifstream file(testing::source_path("tests/golden/sampling/cases.json"));
  const json cases = json::parse(file).at("cases");
  ASSERT_GE(cases.size(), 14u);
  for (const json& test : cases) {
    const SamplerOptions options = options_of(test.at("options"));
    auto logits = test.at("logits").get<std::vector<float>>();
    (void)penalize(logits, distinct(test.at("seen")), options.repetition_penalty);
    EXPECT_EQ(logits, test.at("penalized").get<std::vector<float>>()) << test.at("options");

    const auto probabilities = test.at("probabilities").get<std::vector<double>>();
    int checked = 0;
    for (std::uint64_t step = 0; step < 3000; ++step) {
      const double goal = uniform(step);
      double below = 0;
      std::size_t id = 0;
      while (id + 1 < probabilities.size() && below + probabilities[id] <= goal) {
        below += probabilities[id++];
      }
      // The reference computes in float32: at the very edge of a token's share either may be right.
      if (goal - below < 1e-6 || below + probabilities[id] - goal < 1e-6) continue;
      ++checked;
      ASSERT_EQ(sample(logits, options, kStream, step), static_cast<TokenId>(id))
          << test.at("options") << " at " << goal;
    }
    EXPECT_GT(checked, 2900) << test.at("options");
  }
}

}  // namespace
}  // namespace initrt
