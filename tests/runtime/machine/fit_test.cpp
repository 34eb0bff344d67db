#include "runtime/machine/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/machine/memory_check.h"

namespace initrt {
namespace {

constexpr std::uint64_t kGB = 1'000'000'000;

// 140 GB shared out, and 10 GB of every rank's own.
std::uint64_t planned(std::uint32_t world) { return 140 * kGB / world + 10 * kGB; }

TEST(Fit, OnGpusIsOfEachWithWhatTheDriverWants) {
  const auto fit = fit_json({4, 1, 80 * kGB, true}, planned);
  EXPECT_TRUE(fit["fits"]);
  EXPECT_EQ(fit["fitting_world"], 3);  // 56.7 GB; of two ranks each would need 80 GB and the margin
  EXPECT_EQ(fit["needed"], 45 * kGB + gpu_margin_bytes(80 * kGB));
  EXPECT_EQ(fit["text"], "fits in 80 GB with 34.5 GB to spare; at N = 2 it would not");
}

TEST(Fit, ThatIsMissedSaysHowManyRanksItTakes) {
  EXPECT_EQ(fit_json({1, 1, 80 * kGB, true}, planned)["text"],
            "does not fit in 80 GB: 70.5 GB too much; at N = 3 it would");
  const auto never = fit_json({2, 1, 8 * kGB, true}, planned);
  EXPECT_TRUE(never["fitting_world"].is_null());
  EXPECT_THAT(never["text"].get<std::string>(),
              ::testing::EndsWith("GB too much; at no N up to 4096 it would"));
}

TEST(Fit, OnOneNodeRanksShareItsMemory) {
  // 140 GB and 10 GB for each of 4.
  const auto fit = fit_json({4, 1, 200 * kGB, false}, planned);
  EXPECT_EQ(fit["needed"], 180 * kGB);
  EXPECT_EQ(fit["text"], "fits in 200 GB with 20 GB to spare");
  EXPECT_EQ(fit_json({4, 1, 165 * kGB, false}, planned)["text"],
            "does not fit in 165 GB: 15 GB too much; at N = 2 it would");
  EXPECT_EQ(fit_json({4, 1, 100 * kGB, false}, planned)["text"],
            "does not fit in 100 GB: 80 GB too much; nor would fewer ranks on one node");
}

TEST(Fit, OfManyRanksTakesFewPlans) {
  int plans = 0;
  const auto fit = fit_json({16'384, 1, 1000 * kGB, false}, [&](std::uint32_t world) {
    ++plans;
    return planned(world);
  });
  EXPECT_NEAR(fit["fitting_world"].get<int>(), 86, 1);
  EXPECT_LT(plans, 30);
}

TEST(Fit, OfAModelLargerThanAllMemoryPlansForNoOtherNumber) {
  int plans = 0;
  const auto count = [&](std::uint32_t world) {
    ++plans;
    return planned(world);
  };
  EXPECT_EQ(fit_json({16'384, 1, 100 * kGB, false, 140 * kGB}, count)["text"],
            "does not fit in 100 GB: 164 TB too much; nor would fewer ranks on one node");
  EXPECT_EQ(plans, 1);
  EXPECT_EQ(fit_json({1, 1, 80 * kGB, true, 140 * kGB}, count)["fitting_world"], 3);
  EXPECT_EQ(fit_json({4, 2, 60 * kGB, false, 140 * kGB}, count)["fitting_world"], 7);
}

TEST(Fit, WhereABudgetIsTooLittleForFewerRanksItIsSaid) {
  const auto at_least_four = [](std::uint32_t world) {
    return world < 4 ? std::nullopt : std::optional(planned(world));
  };
  EXPECT_EQ(fit_json({4, 1, 80 * kGB, true}, at_least_four)["text"],
            "fits in 80 GB with 34.5 GB to spare; at N = 3 it would not fit memory.budget");
  // On one node 4 take 180 GB, 5 take 190.
  EXPECT_EQ(fit_json({12, 1, 185 * kGB, false}, at_least_four)["text"],
            "does not fit in 185 GB: 75 GB too much; at N = 4 it would");
  EXPECT_EQ(fit_json({12, 1, 170 * kGB, false}, at_least_four)["text"],
            "does not fit in 170 GB: 90 GB too much; nor would fewer ranks on one node");
}

TEST(Fit, OnSeveralNodesEachHoldsItsRanks) {
  // Two ranks of 45 GB each on a node.
  const auto fit = fit_json({4, 2, 100 * kGB, false}, planned);
  EXPECT_EQ(fit["needed"], 90 * kGB);
  EXPECT_EQ(fit["text"], "fits in 100 GB with 10 GB to spare; at N = 3 it would not");
}

TEST(Fit, IsNotKnownOfGpusOfUnknownMemory) {
  EXPECT_TRUE(fit_json({4, 1, 0, true}, planned).is_null());
  EXPECT_THAT(
      fit_json({1, 1, 0, false}, [](std::uint32_t) { return 1; })["text"].get<std::string>(),
      ::testing::StartsWith("fits in this node's "));
}

}  // namespace
}  // namespace initrt
