#include "runtime/text/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
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
  }
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
}

}  // namespace
}  // namespace initrt
