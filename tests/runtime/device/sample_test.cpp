// Tokens that a device chooses are those that the host's sampler would choose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "runtime/text/sampler.h"
#include "tests/runtime/device/gpu_device.h"
#include "tests/sharding/errors.h"

namespace initrt::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint64_t kRows = 8;

using Logits = std::vector<float>;

class SampledOnDevice : public ::testing::Test {
 protected:
  /// Of each row of the logits, at each of the draws.
  std::vector<Sampled> sample(const Logits& logits, const SamplerOptions& options,
                              const std::vector<double>& draws) {
    const Buffer memory = device_.make(logits.size() * sizeof(float));
    device_->write(std::as_bytes(std::span(logits)), memory.data());
    std::vector<Sampled> sampled(draws.size());
    device_->sample(memory.floats(), draws.size(), logits.size() / draws.size(), options, draws,
                    sampled);
    return sampled;
  }

  /// Checks that tokens are the host's, of one row at some steps of a prompt.
  void expect_the_hosts(const Logits& logits, const SamplerOptions& options, std::uint64_t steps) {
    Logits rows;
    std::vector<double> draws;
    for (std::uint64_t step = 0; step < steps; ++step) {
      rows.insert(rows.end(), logits.begin(), logits.end());
      draws.push_back(draw_of(options.seed, 3, step));
    }
    const std::vector<Sampled> sampled = sample(rows, options, draws);
    for (std::uint64_t step = 0; step < steps; ++step) {
      ASSERT_EQ(token_of(sampled[step], logits.size()), initrt::sample(logits, options, 3, step))
          << logits.size() << " logits, temperature " << options.temperature << ", top_k "
          << options.top_k << ", top_p " << options.top_p << ", min_p " << options.min_p
          << ", step " << step;
    }
  }

  test::GpuDevice device_{DType::F32, kRows, 1};
};

/// Of every kind that models have, and some that they should not have.
std::vector<Logits> many_logits(std::size_t vocabulary) {
  std::mt19937 generator(static_cast<unsigned>(vocabulary));
  std::normal_distribution<float> normal;
  const auto make = [&](const auto& logit) {
    Logits logits(vocabulary);
    for (float& own : logits) own = logit();
    return logits;
  };
  std::vector<Logits> all = {
      make([&] { return 2.5f * normal(generator); }),
      make([&] { return 20 * normal(generator) - 100; }),  // one or two tokens have it all
      make([&] { return 0.001f * normal(generator); }),    // all are about as likely
      make([&] { return -7.0f; }),                         // all are equal
      make([&] { return std::round(2 * normal(generator)) * 0.5f; }),  // many are, of both zeros
      make([&] { return 5e37f * normal(generator); }),
  };
  all.push_back(all.front());  // most are ruled out
  for (float& own : all.back()) {
    if (generator() % 50 != 0) own = -kInfinity;
  }
  all.back()[vocabulary / 2] = -0.5f;
  return all;
}

const SamplerOptions kManyOptions[] = {
    {},
    {.temperature = 1},
    {.temperature = 1e-45f},
    {.temperature = 3e38f, .top_k = 7},
    {.temperature = 0.7f, .top_k = 1},
    {.temperature = 0.7f, .top_k = 40},
    {.temperature = 2, .top_k = 999},
    {.temperature = 2, .top_k = 1 << 30},
    {.temperature = 1, .top_p = 1e-6f},
    {.temperature = 1.3f, .top_p = 0.5f},
    {.temperature = 0.8f, .top_p = 0.95f},
    {.temperature = 1, .top_p = 0.9999999f},
    {.temperature = 1, .min_p = 0.05f},
    {.temperature = 1, .min_p = 1},
    {.temperature = 1.5f, .top_k = 20, .top_p = 0.8f, .seed = 5},
    {.temperature = 1.5f, .top_k = 300, .top_p = 0.9f, .min_p = 0.02f, .seed = 1ull << 40},
};

TEST_F(SampledOnDevice, TokensAreTheHostsOfAnyLogitsAndOptions) {
  for (const std::size_t vocabulary : {1, 2, 31, 1000}) {
    for (const Logits& logits : many_logits(vocabulary)) {
      for (const SamplerOptions& options : kManyOptions) expect_the_hosts(logits, options, 3);
    }
  }
}

TEST_F(SampledOnDevice, TokensAreTheHostsOfLargeVocabularies) {
  for (const Logits& logits : many_logits(128256)) {
    expect_the_hosts(logits, {}, 1);
    expect_the_hosts(logits, {.temperature = 1}, 2);
    expect_the_hosts(logits, {.temperature = 1.5f, .top_k = 50}, 1);
    expect_the_hosts(logits, {.temperature = 1.5f, .top_k = 5000, .top_p = 0.95f}, 1);
    expect_the_hosts(logits, {.temperature = 1.5f, .top_p = 0.95f, .min_p = 0.001f}, 1);
  }
}

TEST_F(SampledOnDevice, WhatTopKLeavesOfEqualLogitsTopPDoesNotBringBack) {
  // Of the four equal ones top_k keeps two, or one.
  const Logits logits = {0, 5, 0, 0, 0, -1};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    expect_the_hosts(logits, {.temperature = 4, .top_k = 3, .top_p = 0.99f, .seed = seed}, 5);
    expect_the_hosts(logits, {.temperature = 4, .top_k = 2, .top_p = 0.99f, .seed = seed}, 5);
  }
}

TEST_F(SampledOnDevice, GreedyTakesTheLargestAndOfEqualOnesTheLowestId) {
  EXPECT_EQ(sample({1, 3, 3, 2}, {}, {0.9}).front().id, 1u);
  EXPECT_EQ(sample({-kInfinity, -3, -kInfinity}, {}, {0}).front().id, 1u);
  EXPECT_EQ(sample({-0.0f, 0.0f}, {}, {0}).front().id, 0u);
  Logits logits(100000);
  logits[77777] = logits[99999] = 1;
  EXPECT_EQ(sample(logits, {}, {0}).front().id, 77777u);
}

TEST_F(SampledOnDevice, EvenlySpacedDrawsGiveEachTokenItsShare) {
  const Logits logits = {0.0f, 1.0f, 2.0f, -1.0f, -kInfinity, 1.0f};
  constexpr int kDraws = 500;
  std::vector<double> draws;
  Logits rows;
  for (int i = 0; i < kDraws; ++i) {
    draws.push_back((i + 0.5) / kDraws);
    rows.insert(rows.end(), logits.begin(), logits.end());
  }
  for (const float temperature : {0.5f, 1.0f, 2.0f}) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit / temperature);
    std::vector<int> counts(logits.size());
    for (const Sampled& sampled : sample(rows, {.temperature = temperature}, draws)) {
      ++counts[sampled.id];
    }
    for (std::size_t id = 0; id < logits.size(); ++id) {
      EXPECT_NEAR(counts[id], kDraws * std::exp(logits[id] / temperature) / sum, 1) << id;
    }
    EXPECT_EQ(counts[4], 0);
  }
}

TEST_F(SampledOnDevice, ARowsTokenIsTheSameAloneAndAnywhereInABatch) {
  for (const std::size_t vocabulary : {257, 5003}) {
    const std::vector<Logits> kinds = many_logits(vocabulary);
    const SamplerOptions options{.temperature = 1.2f, .top_k = 200, .top_p = 0.9f};
    for (std::size_t rotation = 0; rotation < kinds.size(); ++rotation) {
      Logits rows;
      std::vector<double> draws;
      std::vector<std::uint32_t> alone;
      for (std::size_t i = 0; i < kinds.size(); ++i) {
        const Logits& own = kinds[(i + rotation) % kinds.size()];
        rows.insert(rows.end(), own.begin(), own.end());
        draws.push_back(draw_of(0, rotation, i));
        alone.push_back(sample(own, options, {draws.back()}).front().id);
      }
      const std::vector<Sampled> together = sample(rows, options, draws);
      for (std::size_t i = 0; i < kinds.size(); ++i) EXPECT_EQ(together[i].id, alone[i]);
    }
  }
}

TEST_F(SampledOnDevice, MoreRowsThanOneCopyTellsOfAreAllChosen) {
  const std::uint64_t rows = device_.pinned_bytes() / 2 / sizeof(Sampled) + 3;
  Logits logits;
  for (std::uint64_t row = 0; row < rows; ++row) {
    logits.push_back(0);
    logits.push_back(row % 3 == 0 ? 1.0f : -1.0f);
  }
  const std::vector<Sampled> sampled = sample(logits, {}, std::vector<double>(rows));
  for (std::uint64_t row = 0; row < rows; ++row) {
    ASSERT_EQ(sampled[row].id, row % 3 == 0 ? 1u : 0u) << row;
  }
}

TEST_F(SampledOnDevice, WhatIsNoChoiceIsTheHostsError) {
  Logits late(5000, 1.0f);
  late[4000] = kInfinity;
  late[3999] = kNan;
  late[4999] = kNan;
  const Logits cases[] = {{0, 1, kNan}, {kNan, 1},         {1, -kNan, 0}, {0, kInfinity},
                          late,         {kInfinity, kNan}, {-kInfinity},  Logits(700, -kInfinity)};
  for (const Logits& logits : cases) {
    for (const SamplerOptions& options :
         {SamplerOptions{}, SamplerOptions{.temperature = 1, .top_k = 3, .top_p = 0.5f}}) {
      const std::string host = error_of([&] { (void)initrt::sample(logits, options, 0, 0); });
      EXPECT_EQ(
          error_of([&] { (void)token_of(sample(logits, options, {0.5}).front(), logits.size()); }),
          host);
    }
  }
  // Beside rows that are well.
  const std::vector<Sampled> rows = sample({1, 2, kNan, 0, 4, 3}, {}, {0, 0, 0});
  EXPECT_EQ(token_of(rows[0], 2), 1);
  EXPECT_EQ(rows[1].id, 0u);
  EXPECT_EQ(token_of(rows[2], 2), 0);
}

TEST_F(SampledOnDevice, RowsWithoutADrawOrLogitsAreRefused) {
  const double draw = 0;
  Sampled sampled;
  EXPECT_THAT(error_of([&] {
                device_->sample(nullptr, 2, 5, {}, std::span(&draw, 1), std::span(&sampled, 1));
              }),
              ::testing::HasSubstr("2 rows of 5 logits, 1 draws, room for 1"));
  EXPECT_THAT(error_of([&] {
                device_->sample(nullptr, 1, 0, {}, std::span(&draw, 1), std::span(&sampled, 1));
              }),
              ::testing::HasSubstr("1 rows of 0 logits"));
}

}  // namespace
}  // namespace initrt::testing
