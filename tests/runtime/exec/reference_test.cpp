// The whole pipeline's logits against formulas in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/support/rank_model.h"
#include "tests/support/reference_llama.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

const std::vector<TokenId> kTokens = {3, 508, 0, 77, 77, 250, 12, 311, 9, 508, 1, 42, 230, 229};

double largest_difference(const SmallCheckpoint& checkpoint, const std::string& precision) {
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), precision);
  const std::vector<double> expected =
      reference_logits(checkpoint.model, checkpoint.tensors, kTokens);
  double largest = 0;
  const auto failures = run_world(model, {}, [&](std::uint32_t, RankModel& rank) {
    const std::vector<float> logits = score_all(rank.engine(), kTokens, 5);
    ASSERT_EQ(logits.size(), expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(logits[i]) - expected[i]));
    }
  });
  EXPECT_EQ(failures.front(), "");
  return largest;
}

TEST(Logits, AgreeWithTheFormulasToFloatRounding) {
  EXPECT_LT(largest_difference(SmallCheckpoint(), "32-true"), 1e-4);
  EXPECT_LT(largest_difference(SmallCheckpoint(tied_llama()), "32-true"), 1e-4);
}

TEST(Logits, AgreeForOneHeadPerKvHeadAndForOneKvHeadInAll) {
  for (const std::uint32_t kv_heads : {4u, 1u}) {
    SmallLlama shape;
    shape.kv_heads = kv_heads;
    EXPECT_LT(largest_difference(SmallCheckpoint(shape), "32-true"), 1e-4) << kv_heads;
  }
}

// Logits are of magnitude 1 to 3; three blocks of 16-bit weights and inputs.
TEST(Logits, AgreeIn16BitsToTheRoundingOfThoseTypes) {
  EXPECT_LT(largest_difference(SmallCheckpoint(), "bf16-true"), 0.15);
  EXPECT_LT(largest_difference(SmallCheckpoint(), "16-true"), 0.02);
}

}  // namespace
}  // namespace initrt::testing
