#include "tests/golden/family_logits.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/npy.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

constexpr float kMaxDifference = 1e-4f;

// The rows of one sweep: those `count` from `first` on, all of which want logits.
struct Rows {
  std::vector<RowInfo> rows;
  std::vector<std::uint32_t> logit_rows;

  Rows(std::uint32_t first, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      rows.push_back({0, first + i, std::max(kPrompt, first + i + 1)});
      logit_rows.push_back(i);
    }
  }
};

}  // namespace

std::vector<TokenId> family_tokens() {
  return nlohmann::json::parse(contents(source_path("tests/golden/families/tokens.json")))
      .get<std::vector<TokenId>>();
}

Setting family_setting() {
  Setting setting;
  setting.context = kTokens;
  setting.sweep_rows = setting.logit_rows = kPrompt;
  return setting;
}

std::vector<float> logits_in_chunks(Engine& engine, std::uint32_t chunk) {
  const std::vector<TokenId> ids = family_tokens();
  std::vector<float> all;
  for (std::uint32_t done = 0;;) {
    const std::uint32_t count =
        done < kPrompt ? std::min(chunk, kPrompt - done) : std::min(1u, kTokens - done);
    const Rows rows(done, count);
    const SweepOutput output =
        engine.sweep({std::span(ids).subspan(done, count), rows.rows, rows.logit_rows});
    if (!output.any) return all;
    const auto logits = output.logits.first(count * engine.vocabulary());
    all.insert(all.end(), logits.begin(), logits.end());
    done += count;
  }
}

std::vector<float> logits_on_one_rank(const OpenModel& model) {
  std::vector<float> all;
  const auto failures = run_world(model, family_setting(), [&](std::uint32_t, RankModel& rank) {
    all = logits_in_chunks(rank.engine(), kPrompt);
  });
  EXPECT_THAT(failures, ::testing::Each(::testing::IsEmpty()));
  return all;
}

void expect_logits_of(const std::string& reference, const std::vector<float>& mine,
                      std::size_t vocabulary, std::size_t tokens) {
  ASSERT_GE(mine.size(), tokens * vocabulary);
  const std::vector<float> expected = read_npy(reference, tokens * vocabulary);
  std::size_t worst = 0;
  float largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_TRUE(std::isfinite(mine[i])) << "token " << i / vocabulary;
    const float difference = std::fabs(mine[i] - expected[i]);
    if (difference > largest) {
      largest = difference;
      worst = i;
    }
  }
  ::testing::Test::RecordProperty("largest_difference", fmt::format("{:.3g}", largest));
  EXPECT_LE(largest, kMaxDifference)
      << "largest difference, at token " << worst / vocabulary << ": logit " << worst % vocabulary
      << " is " << mine[worst] << ", the reference's " << expected[worst];
}

}  // namespace initrt::testing
