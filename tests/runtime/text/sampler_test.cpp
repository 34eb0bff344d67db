#include "runtime/text/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "tests/runtime/text/small_tokenizer.h"

namespace initrt {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// How often each id is drawn in `draws` steps.
std::vector<int> histogram(const std::vector<float>& logits, const SamplerOptions& options,
                           int draws) {
  std::vector<int> counts(logits.size());
  for (int step = 0; step < draws; ++step) {
    ++counts[static_cast<std::size_t>(
        sample(logits, options, 0, static_cast<std::uint64_t>(step)))];
  }
  return counts;
}

std::vector<float> random_logits(std::size_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(generator);
  return logits;
}

TEST(Sampler, GreedyTakesTheLargestAndOfEqualOnesTheLowestId) {
  EXPECT_EQ(sample(std::vector<float>{1, 3, 2}, {}, 0, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{1, 3, 3, 2}, {}, 5, 7), 1);
  EXPECT_EQ(sample(std::vector<float>{-kInfinity, -3, -kInfinity}, {}, 0, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{-0.0f, 0.0f}, {}, 0, 0), 0);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f, -1.0f, -kInfinity};
  constexpr int kDraws = 100000;
  for (const float temperature : {0.5f, 1.0f, 2.0f}) {
    const std::vector<int> counts =
        histogram(logits, {.temperature = temperature, .seed = 1234}, kDraws);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit / temperature);
    for (std::size_t id = 0; id < logits.size(); ++id) {
      const double p = std::exp(logits[id] / temperature) / sum;
      const double five_sigma = 5 * std::sqrt(kDraws * p * (1 - p));
      EXPECT_NEAR(counts[id], kDraws * p, five_sigma) << "id " << id << " at " << temperature;
    }
  }
}

TEST(Sampler, TopKKeepsTheLargestAndOfEqualOnesTheLowestIds) {
  const std::vector<int> counts =
      histogram({1, 2, 2, 2, 0}, {.temperature = 1, .top_k = 2, .seed = 1}, 2000);
  EXPECT_GT(counts[1], 900);
  EXPECT_GT(counts[2], 900);
  EXPECT_EQ(counts[1] + counts[2], 2000);
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  // Probabilities 0.5, 0.3, 0.15, 0.05.
  const std::vector<float> logits = {std::log(0.05f), std::log(0.5f), std::log(0.15f),
                                     std::log(0.3f)};
  const auto kept = [&](float top_p) {
    std::vector<TokenId> ids;
    const std::vector<int> counts =
        histogram(logits, {.temperature = 1, .top_p = top_p, .seed = 2}, 3000);
    for (std::size_t id = 0; id < counts.size(); ++id) {
      if (counts[id] > 0) ids.push_back(static_cast<TokenId>(id));
    }
    return ids;
  };
  EXPECT_EQ(kept(1e-6f), (std::vector<TokenId>{1}));
  EXPECT_EQ(kept(0.45f), (std::vector<TokenId>{1}));
  EXPECT_EQ(kept(0.6f), (std::vector<TokenId>{1, 3}));
  EXPECT_EQ(kept(0.9f), (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(kept(1.0f), (std::vector<TokenId>{0, 1, 2, 3}));
}

TEST(Sampler, FiltersThatKeepEverythingChangeNothing) {
  const std::vector<float> logits = random_logits(500);
  for (std::uint64_t step = 0; step < 200; ++step) {
    const TokenId plain = sample(logits, {.temperature = 0.8f, .seed = 3}, 4, step);
    EXPECT_EQ(sample(logits, {.temperature = 0.8f, .top_k = 500, .seed = 3}, 4, step), plain);
    EXPECT_EQ(sample(logits, {.temperature = 0.8f, .top_k = 9999, .seed = 3}, 4, step), plain);
    EXPECT_EQ(sample(logits, {.temperature = 0.8f, .min_p = 1e-30f, .seed = 3}, 4, step), plain);
    EXPECT_EQ(sample(logits, {.temperature = 0.8f, .top_p = 1 - 1e-7f, .seed = 3}, 4, step), plain);
  }
}

TEST(Sampler, MinPKeepsWhatIsLikelyBesideTheLikeliest) {
  // Probabilities 0.5, 0.25, 0.15, 0.1 at temperature 1.
  const std::vector<float> logits = {std::log(0.15f), std::log(0.5f), std::log(0.1f),
                                     std::log(0.25f)};
  const auto kept = [&](SamplerOptions options) {
    std::vector<TokenId> ids;
    options.seed = 2;
    const std::vector<int> counts = histogram(logits, options, 3000);
    for (std::size_t id = 0; id < counts.size(); ++id) {
      if (counts[id] > 0) ids.push_back(static_cast<TokenId>(id));
    }
    return ids;
  };
  EXPECT_EQ(kept({.temperature = 1, .min_p = 1}), (std::vector<TokenId>{1}));
  EXPECT_EQ(kept({.temperature = 1, .min_p = 0.49f}), (std::vector<TokenId>{1, 3}));
  EXPECT_EQ(kept({.temperature = 1, .min_p = 0.29f}), (std::vector<TokenId>{0, 1, 3}));
  EXPECT_EQ(kept({.temperature = 1, .min_p = 0.1f}), (std::vector<TokenId>{0, 1, 2, 3}));
  // After the temperature: at 2 the ratio of 0.1 to 0.5 is sqrt(0.2).
  EXPECT_EQ(kept({.temperature = 2, .min_p = 0.44f}), (std::vector<TokenId>{0, 1, 2, 3}));
  EXPECT_EQ(kept({.temperature = 2, .min_p = 0.46f}), (std::vector<TokenId>{0, 1, 3}));
}

TEST(Sampler, FiltersKeepWhatSortingWouldWithTiesByTheLowestId) {
  std::mt19937 generator(3);
  for (int round = 0; round < 300; ++round) {
    // Few distinct values, of both signs and both zeros.
    std::vector<float> logits(1 + generator() % 700);
    for (float& logit : logits) {
      logit = static_cast<float>(static_cast<int>(generator() % 41) - 20) * 0.25f;
      if (generator() % 9 == 0) logit = -logit;
      if (generator() % 17 == 0) logit = -kInfinity;
    }
    logits.front() = 1;
    SamplerOptions options{.temperature = 1.5f};
    options.top_k = static_cast<int>(generator() % logits.size());
    options.top_p = static_cast<float>(generator() % 100 + 1) / 100;
    std::vector<std::size_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), std::size_t{0});
    std::stable_sort(ids.begin(), ids.end(),
                     [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
    if (options.top_k > 0) ids.resize(static_cast<std::size_t>(options.top_k));
    const auto weight = [&](std::size_t id) { return std::exp(logits[id] / 1.5); };
    double sum = 0, reached = 0;
    for (const std::size_t id : ids) sum += weight(id);
    std::size_t count = 0;
    // Not decided here: whether rounding lets a sum reach what it nearly does.
    while (count < ids.size() && reached < options.top_p * sum * (1 + 1e-12)) {
      reached += weight(ids[count++]);
    }
    for (std::uint64_t step = 0; step < 50; ++step) {
      const auto id = static_cast<std::size_t>(sample(logits, options, 0, step));
      const auto place = std::find(ids.begin(), ids.end(), id) - ids.begin();
      EXPECT_LT(place, static_cast<std::ptrdiff_t>(count))
          << "id " << id << " of " << logits.size() << ", top_k " << options.top_k << ", top_p "
          << options.top_p;
    }
  }
}

TEST(Sampler, ThePenaltyMakesSeenTokensLessLikelyWhateverTheirSign) {
  std::vector<float> logits = {4, -4, 0, 3, -kInfinity, 1};
  const std::vector<float> raw = logits;
  const std::vector<TokenId> seen = {0, 1, 2, 4};
  EXPECT_EQ(penalize(logits, seen, 2), (std::vector<float>{4, -4, 0, -kInfinity}));
  EXPECT_EQ(logits, (std::vector<float>{2, -8, 0, 3, -kInfinity, 1}));
  EXPECT_EQ(sample(logits, {}, 0, 0), 3) << "greedy choice is of penalized logits";
  logits = raw;
  EXPECT_THAT(penalize(logits, seen, 1), testing::IsEmpty());
  EXPECT_EQ(logits, raw);
}

TEST(Sampler, ThePenaltyLeavesFiniteLogitsFiniteAndOthersAsTheyAre) {
  std::vector<float> logits = {3e38f, -3e38f, kNan, kInfinity};
  (void)penalize(logits, std::vector<TokenId>{0, 1, 2, 3}, 0.01f);
  EXPECT_EQ(logits[0], std::numeric_limits<float>::max());
  EXPECT_EQ(logits[1], -3e36f);
  EXPECT_TRUE(std::isnan(logits[2]));
  EXPECT_EQ(logits[3], kInfinity);
}

TEST(Sampler, TheDrawIsAFunctionOfSeedStreamAndStep) {
  const std::vector<float> logits = random_logits(1000);
  const SamplerOptions options{.temperature = 2, .top_k = 200, .seed = 1234};
  const auto draws = [&](std::uint64_t seed, std::uint64_t stream) {
    std::vector<TokenId> ids;
    SamplerOptions with_seed = options;
    with_seed.seed = seed;
    for (std::uint64_t step = 0; step < 50; ++step) {
      ids.push_back(sample(logits, with_seed, stream, step));
    }
    return ids;
  };
  EXPECT_EQ(draws(1234, 0), draws(1234, 0));
  EXPECT_NE(draws(1234, 0), draws(1234, 1));
  EXPECT_NE(draws(1234, 0), draws(1235, 0));
  EXPECT_NE(draws(1234, 0), draws(1234 + (1ull << 40), 0));
}

TEST(Sampler, ExtremeTemperaturesStayFinite) {
  const std::vector<float> logits = {3e38f, -3e38f, 0};
  EXPECT_EQ(sample(logits, {.temperature = 1e-45f}, 0, 0), 0);
  const TokenId id = sample(logits, {.temperature = 3e38f}, 0, 1);
  EXPECT_TRUE(id >= 0 && id < 3);
}

TEST(Sampler, ALogitThatIsNoNumberIsAnErrorNamingTheId) {
  for (const float temperature : {0.0f, 1.0f}) {
    const SamplerOptions options{.temperature = temperature};
    EXPECT_THAT(error_of([&] {
                  (void)sample(std::vector<float>{0, 1, kNan}, options, 0, 0);
                }),
                testing::HasSubstr("the logit of token 2 is nan"));
    EXPECT_THAT(error_of([&] {
                  (void)sample(std::vector<float>{kNan, 1}, options, 0, 0);
                }),
                testing::HasSubstr("the logit of token 0 is nan"));
    EXPECT_THAT(error_of([&] {
                  (void)sample(std::vector<float>{0, kInfinity}, options, 0, 0);
                }),
                testing::HasSubstr("the logit of token 1 is inf"));
    EXPECT_THAT(error_of([&] { (void)sample(std::vector<float>(2, -kInfinity), options, 0, 0); }),
                testing::HasSubstr("none of the 2 logits is finite"));
    EXPECT_THAT(error_of([&] { (void)sample({}, options, 0, 0); }),
                testing::HasSubstr("none of the 0 logits is finite"));
  }
}

TEST(Sampler, OptionsOutOfRangeAreErrors) {
  const auto error = [](SamplerOptions options) {
    return error_of([&] { (void)sample(std::vector<float>{1}, options, 0, 0); });
  };
  EXPECT_THAT(error({.temperature = -1}), testing::HasSubstr("temperature"));
  EXPECT_THAT(error({.temperature = kNan}), testing::HasSubstr("temperature"));
  EXPECT_THAT(error({.temperature = kInfinity}), testing::HasSubstr("temperature"));
  EXPECT_THAT(error({.top_k = -1}), testing::HasSubstr("top_k"));
  EXPECT_THAT(error({.top_p = 0}), testing::HasSubstr("top_p"));
  EXPECT_THAT(error({.top_p = 1.5f}), testing::HasSubstr("top_p"));
  EXPECT_THAT(error({.top_p = kNan}), testing::HasSubstr("top_p"));
  EXPECT_THAT(error({.min_p = -0.1f}), testing::HasSubstr("min_p"));
  EXPECT_THAT(error({.min_p = 1.1f}), testing::HasSubstr("min_p"));
  EXPECT_THAT(error({.min_p = kNan}), testing::HasSubstr("min_p"));
  EXPECT_THAT(error({.repetition_penalty = 0}), testing::HasSubstr("repetition_penalty"));
  EXPECT_THAT(error({.repetition_penalty = kInfinity}), testing::HasSubstr("repetition_penalty"));
}

}  // namespace
}  // namespace initrt
