#include "sharding/sweep_time.h"

#include <gtest/gtest.h>

#include "sharding/memory_plan.h"

namespace initrt {
namespace {

// Of 4 ranks: 8 GB of weights, a row takes 16 MB to every rank and 8 MB back.
MoveCosts costs() {
  MoveCosts costs;
  costs.world = 4;
  costs.weight_bytes = costs.product_bytes = 8'000'000'000;
  costs.bytes_per_row = 16'000'000;
  costs.bytes_per_own_row = 8'000'000;
  costs.operations_per_row = 8e9;
  costs.gathers = 10;
  costs.exchanges = 100;
  return costs;
}

constexpr Speeds kSpeeds{.memory = 1e12, .compute = 1e14, .link = 1e10, .latency = 1e-5};

TEST(SweepTime, OfWeightsIsWhatMovesAndWhatIsRead) {
  const SweepTime apart = time_of_weights(costs(), kSpeeds, {}, 1, 1);
  EXPECT_DOUBLE_EQ(apart.products, 8e-3);
  EXPECT_DOUBLE_EQ(apart.moving, 0.75 * 8e9 / 1e10 + 10 * 1e-5);
  EXPECT_DOUBLE_EQ(apart.seconds(), apart.products + apart.moving);
  const SweepTime hidden = time_of_weights(costs(), kSpeeds, {.overlaps = true}, 1, 1);
  EXPECT_DOUBLE_EQ(hidden.seconds(), hidden.moving) << "products are hidden behind it";
}

TEST(SweepTime, OfWeightsThatLieInPlaceIsReadingAlone) {
  const SweepTime time = time_of_weights(costs(), kSpeeds, {.in_place = true}, 4, 1);
  EXPECT_EQ(time.moving, 0);
  EXPECT_DOUBLE_EQ(time.seconds(), 8e-3);
}

TEST(SweepTime, OfRowsReadsAPartOfTheWeights) {
  const SweepTime time = time_of_rows(costs(), kSpeeds, 128, 4, 1);
  EXPECT_DOUBLE_EQ(time.products, 2e-3);
  EXPECT_DOUBLE_EQ(time.moving, 0.75 * (4 * 16e6 + 8e6) / 1e10 + 100 * 1e-5);
}

TEST(SweepTime, OfManyRowsIsBoundByArithmetic) {
  EXPECT_DOUBLE_EQ(time_of_weights(costs(), kSpeeds, {}, 4000, 1000).products, 1000 * 8e9 / 1e14);
  EXPECT_DOUBLE_EQ(time_of_rows(costs(), kSpeeds, 4000, 4000, 1000).products,
                   4000 * 8e9 / 1e14 / 4);
}

// More rows than go through at once read the weights, and wait for the ranks, as often.
TEST(SweepTime, OfRowsInSlabsCountsEach) {
  const SweepTime one = time_of_rows(costs(), kSpeeds, 128, 128, 32);
  const SweepTime three = time_of_rows(costs(), kSpeeds, 128, 300, 75);
  EXPECT_DOUBLE_EQ(three.products, 3 * 2e-3);
  EXPECT_DOUBLE_EQ(one.products, std::max(2e-3, 128 * 8e9 / 1e14 / 4));
  const double latency = 100 * 1e-5, bytes = 0.75 * (300 * 16e6 + 75 * 8e6) / 1e10;
  EXPECT_DOUBLE_EQ(three.moving, bytes + 3 * latency);
}

TEST(SweepTime, TakesNoTimeForWhatIsNotKnown) {
  const SweepTime time = time_of_rows(costs(), {.link = 1e10}, 128, 4, 1);
  EXPECT_EQ(time.products, 0);
  EXPECT_FALSE(Speeds{}.of_moving());
}

TEST(SweepTime, CrossesWhereBothTakeAsLong) {
  const std::uint64_t rows = rows_at_crossing(costs(), kSpeeds, {.overlaps = true}, 1u << 20);
  const auto seconds = [](std::uint64_t of) {
    const std::uint64_t own = (of + 3) / 4;
    return std::pair(time_of_rows(costs(), kSpeeds, 1u << 20, of, own).seconds(),
                     time_of_weights(costs(), kSpeeds, {.overlaps = true}, of, own).seconds());
  };
  ASSERT_GT(rows, 100u);
  EXPECT_LE(seconds(rows).first, seconds(rows).second);
  EXPECT_GT(seconds(rows + 4).first, seconds(rows + 4).second);
}

// By bytes 300 rows are fewer than the weights; by time they are not, where each exchange waits.
TEST(SweepTime, DecidesWhatMovesWhereSpeedsAreKnown) {
  Placement placement;
  placement.costs = costs();
  placement.costs.exchanges = 100'000;
  RunShape shape;
  shape.gather = GatherKind::Collective;
  shape.moved_rows = 512;
  EXPECT_TRUE(moves_rows(shape, placement, 300, 75));
  shape.speeds = kSpeeds;
  EXPECT_FALSE(moves_rows(shape, placement, 300, 75));
  shape.move = Move::Activations;
  EXPECT_TRUE(moves_rows(shape, placement, 300, 75)) << "what the job asks for stays";
}

}  // namespace
}  // namespace initrt
