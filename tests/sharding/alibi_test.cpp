// Rates of ALiBi's biases, as the paper and the code of its authors have them.
#include "sharding/alibi.h"

#include <gtest/gtest.h>

#include <cmath>

namespace initrt::testing {
namespace {

TEST(Alibi, RatesOfAPowerOfTwoAreASeriesDownToTheLeast) {
  const Alibi alibi = alibi_of(8);
  for (std::uint32_t head = 0; head < 8; ++head) {
    EXPECT_FLOAT_EQ(alibi_rate(alibi, head), std::exp2(-1.0f - static_cast<float>(head)));
  }
  EXPECT_FLOAT_EQ(alibi_rate(alibi_of(16), 15), std::exp2(-8.0f));
  EXPECT_FLOAT_EQ(alibi_rate(alibi_of(4, 6.0f), 0), std::exp2(-1.5f));
}

TEST(Alibi, FurtherHeadsHaveEverySecondRateOfTwiceAsMany) {
  const Alibi six = alibi_of(6), eight = alibi_of(8);
  EXPECT_FLOAT_EQ(alibi_rate(six, 3), alibi_rate(alibi_of(4), 3));
  EXPECT_FLOAT_EQ(alibi_rate(six, 4), alibi_rate(eight, 0));
  EXPECT_FLOAT_EQ(alibi_rate(six, 5), alibi_rate(eight, 2));
}

TEST(Alibi, RatesAreRoundedWhereBiasesAre) {
  Alibi alibi = alibi_of(32);
  EXPECT_FLOAT_EQ(alibi_rate(alibi, 0), std::exp2(-0.25f));
  alibi.rounded = true;
  EXPECT_EQ(alibi_rate(alibi, 0), 0.83984375f) << "the next number of 8 bits to 0.8409";
  EXPECT_EQ(alibi_rate(alibi, 3), 0.5f);
}

}  // namespace
}  // namespace initrt::testing
