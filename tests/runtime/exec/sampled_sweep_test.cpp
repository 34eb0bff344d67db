// Sweeps that bring tokens instead of logits, where the device chooses them.
#include <gtest/gtest.h>

#include "runtime/text/sampler.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

const std::vector<TokenId> kTokens = {7, 8, 9, 10};
const std::vector<RowInfo> kRows = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
const std::vector<std::uint32_t> kLogitRows = {1, 3};

class SampledSweep : public ::testing::Test {
 protected:
  /// Runs `body` on one rank. The ops of its sweeps are soon repeated, not asked for anew.
  void run(const std::function<void(Engine& engine)>& body) const {
    Setting setting;
    setting.sequences = 2;
    const auto failures = run_world(model_, setting, [&](std::uint32_t, RankModel& rank) {
      rank.instance().finish_loading();
      body(rank.engine());
    });
    EXPECT_EQ(failures.front(), "");
  }

  const SmallCheckpoint checkpoint_;
  const OpenModel model_ = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
};

TEST_F(SampledSweep, BringsTheTokensOfTheLogitsAtEachSweepsDraws) {
  const SamplerOptions options{.temperature = 3, .top_k = 100, .seed = 9};
  run([&](Engine& engine) {
    std::vector<float> logits;
    std::vector<TokenId> tokens;
    for (std::uint64_t step = 0; step < 12; ++step) {
      const std::vector<double> draws = {draw_of(9, 0, step), draw_of(9, 1, step)};
      SweepInput input{kTokens, kRows, kLogitRows};
      if (step % 3 != 0) {
        input.sampler = &options;
        input.draws = draws;
      }
      const SweepOutput output = engine.sweep(input);
      if (step % 3 == 0) {  // sweeps of both kinds may follow each other
        EXPECT_TRUE(output.sampled.empty());
        logits.assign(output.logits.begin(), output.logits.end());
        continue;
      }
      EXPECT_TRUE(output.logits.empty());
      ASSERT_EQ(output.sampled.size(), 2u);
      for (std::uint64_t row = 0; row < 2; ++row) {
        const TokenId token = token_of(output.sampled[row], engine.vocabulary());
        const auto own = std::span(logits).subspan(row * engine.vocabulary(), engine.vocabulary());
        EXPECT_EQ(token, sample(own, options, row, step)) << "row " << row << ", step " << step;
        tokens.push_back(token);
      }
    }
    EXPECT_NE(tokens, std::vector<TokenId>(tokens.size(), tokens.front()));
  });
}

}  // namespace
}  // namespace initrt::testing
