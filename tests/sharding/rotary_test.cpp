// Rotary frequencies and what stretches them. That they are the reference's is tested with each
// family's logits.
#include "sharding/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

namespace initrt {
namespace {

RotarySpec spec_of(std::uint32_t dimensions, double theta) {
  RotarySpec spec;
  spec.dimensions = dimensions;
  spec.theta = theta;
  spec.frequencies = rotary_frequencies(dimensions, theta);
  return spec;
}

std::vector<float> row(const RotarySpec& spec, std::uint32_t position, std::uint32_t length) {
  std::vector<float> values(spec.dimensions);
  fill_rotary_row(spec, position, length, values);
  return values;
}

TEST(Rotary, RowsAreCosinesAndSinesOfPositionTimesFrequency) {
  RotarySpec spec = spec_of(8, 500.0);
  spec.attention_factor = 1.5f;
  const std::vector<float> values = row(spec, 7, 8);
  for (std::size_t i = 0; i < 4; ++i) {
    const double angle = 7 * std::pow(500.0, -2.0 * static_cast<double>(i) / 8);
    EXPECT_NEAR(values[i], 1.5 * std::cos(angle), 2e-6);
    EXPECT_NEAR(values[4 + i], 1.5 * std::sin(angle), 2e-6);
  }
}

TEST(Rotary, LengthMattersOnlyToWhatScalesWithIt) {
  const RotarySpec plain = spec_of(16, 10000.0);
  EXPECT_EQ(row(plain, 9, 10), row(plain, 9, 1'000'000));

  RotarySpec dynamic = plain;
  dynamic.original_context = 32;
  dynamic.dynamic_factor = 2;
  EXPECT_EQ(row(dynamic, 9, 32), row(plain, 9, 32));
  EXPECT_NE(row(dynamic, 9, 33), row(plain, 9, 33));
  EXPECT_NE(row(dynamic, 9, 64), row(dynamic, 9, 33)) << "the base grows with the length";

  RotarySpec two = plain;
  two.original_context = 32;
  two.long_frequencies = rotary_frequencies(16, 77.0);
  EXPECT_EQ(row(two, 9, 32), row(plain, 9, 32));
  EXPECT_EQ(row(two, 9, 33), row(spec_of(16, 77.0), 9, 33));
  EXPECT_EQ(row(two, 9, 64), row(two, 9, 33));
}

TEST(Rotary, DynamicScalingRaisesTheBaseByTheStretch) {
  RotarySpec dynamic = spec_of(16, 10000.0);
  dynamic.original_context = 32;
  dynamic.dynamic_factor = 2;
  // 2 x 64 / 32 - 1 = 3, to the power of 16 / 14.
  EXPECT_EQ(row(dynamic, 31, 64), row(spec_of(16, 10000.0 * std::pow(3.0, 16.0 / 14)), 31, 64));
}

TEST(Rotary, Llama3DividesSlowFrequenciesAndKeepsFastOnes) {
  RotarySpec scaled = spec_of(64, 10000.0);
  const std::vector<float> before = scaled.frequencies;
  scale_llama3(scaled, {8, 1, 4, 256});
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double turns = 256 * before[i] / (2 * M_PI);
    const double ratio = scaled.frequencies[i] / before[i];
    if (turns < 1) {
      EXPECT_NEAR(ratio, 1.0 / 8, 1e-6);
    } else if (turns > 4) {
      EXPECT_EQ(scaled.frequencies[i], before[i]);
    } else {
      EXPECT_GT(ratio, 1.0 / 8 - 1e-6);
      EXPECT_LT(ratio, 1 + 1e-6);
    }
  }
}

TEST(Rotary, YarnInterpolatesSlowFrequenciesAndKeepsFastOnes) {
  for (const bool truncate : {false, true}) {
    RotarySpec scaled = spec_of(64, 10000.0);
    const std::vector<float> before = scaled.frequencies;
    scale_yarn(scaled, {.factor = 4, .original_context = 2048, .truncate = truncate});
    EXPECT_EQ(scaled.frequencies.front(), before.front());
    EXPECT_NEAR(scaled.frequencies.back() / before.back(), 0.25, 1e-6);
    for (std::size_t i = 1; i < before.size(); ++i) {
      EXPECT_LE(scaled.frequencies[i] / before[i], scaled.frequencies[i - 1] / before[i - 1] + 1e-6)
          << "the slower, the more it is stretched";
    }
  }
}

TEST(Rotary, StepsMultiplyByTheLogarithmOfHowManyThereWere) {
  const RotarySpec plain = spec_of(16, 10000.0);
  RotarySpec stepped = plain;
  stepped.step = 32;
  stepped.step_factor = 0.5f;
  EXPECT_EQ(row(stepped, 31, 32), row(plain, 31, 32));
  for (const std::uint32_t position : {32, 63, 100}) {
    const std::vector<float> got = row(stepped, position, 128), before = row(plain, position, 128);
    const double factor = 1 + 0.5 * std::log(1.0 + position / 32);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], before[i] * factor, 1e-6);
  }
}

}  // namespace
}  // namespace initrt
