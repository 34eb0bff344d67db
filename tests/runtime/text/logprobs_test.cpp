#include "runtime/text/logprobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace initrt {
namespace {

using testing::ElementsAre;

std::vector<TokenId> ids_of(const std::vector<TokenLogprob>& all) {
  std::vector<TokenId> ids;
  for (const TokenLogprob& one : all) ids.push_back(one.id);
  return ids;
}

TEST(Logprobs, AreOfTheSoftmaxOfTheLogits) {
  const std::vector<float> logits = {std::log(0.05f), std::log(0.5f), std::log(0.15f),
                                     std::log(0.3f)};
  const auto all = log_probabilities(logits, 2, 3);
  EXPECT_THAT(ids_of(all), ElementsAre(2, 1, 3, 2));
  EXPECT_NEAR(all[0].logprob, std::log(0.15), 1e-6);
  EXPECT_NEAR(all[1].logprob, std::log(0.5), 1e-6);
  EXPECT_EQ(all[0], all[3]);
  EXPECT_THAT(ids_of(log_probabilities(logits, 0, 0)), ElementsAre(0));
}

TEST(Logprobs, SumToOneWhateverTheLogitsSize) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(3000, 5);
  std::vector<float> logits(300);
  for (float& logit : logits) logit = normal(generator);
  const auto all = log_probabilities(logits, 7, 300);
  double sum = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    sum += std::exp(all[i].logprob);
    EXPECT_LE(all[i].logprob, all[i == 1 ? 1 : i - 1].logprob);
  }
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST(Logprobs, OfEqualTokensTheLowestIdsComeFirst) {
  const std::vector<float> logits = {1, 2, 1, 2, 2, 0};
  EXPECT_THAT(ids_of(log_probabilities(logits, 0, 2)), ElementsAre(0, 1, 3));
  EXPECT_THAT(ids_of(log_probabilities(logits, 0, 4)), ElementsAre(0, 1, 3, 4, 0));
  EXPECT_THAT(ids_of(log_probabilities(logits, 0, 99)), ElementsAre(0, 1, 3, 4, 0, 2, 5));
}

TEST(Logprobs, OfWhatTheModelRulesOutAreMinusInfinity) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto all = log_probabilities(std::vector<float>{-kInfinity, 1}, 0, 2);
  EXPECT_EQ(all[0].logprob, -kInfinity);
  EXPECT_EQ(all[1], (TokenLogprob{1, 0}));
}

}  // namespace
}  // namespace initrt
