// Gates, caps and scales against double.
#include <gmock/gmock.h>

#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {
namespace {

class CpuFunctions : public CpuTest {};

double in_double(GateFunction function, double x) {
  switch (function) {
    case GateFunction::Silu:
      return x / (1 + std::exp(-x));
    case GateFunction::Gelu:
      return x / 2 * std::erfc(-x / std::sqrt(2.0));
    case GateFunction::GeluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

constexpr GateFunction functions[] = {GateFunction::Silu, GateFunction::Gelu,
                                      GateFunction::GeluTanh};

TEST_P(CpuFunctions, GatesAgreeWithDouble) {
  for (const GateFunction function : functions) {
    for (const std::size_t elements : {1, 15, 16, 17, 40000}) {
      auto gate = random(elements, 5.0f);
      gate[0] = -200.0f;
      const auto up = random(elements);
      std::vector<float> out(elements), threaded(elements), alone(elements);
      device(1)->gate(function, gate.data(), up.data(), out.data(), elements);
      device(3)->gate(function, gate.data(), up.data(), threaded.data(), elements);
      device()->gate(function, gate.data(), nullptr, alone.data(), elements);
      EXPECT_TRUE(same_bits(out, threaded));
      for (std::size_t i = 0; i < elements; ++i) {
        const double expected = in_double(function, gate[i]);
        const double tolerance = std::abs(expected) * 0x1p-20 + 4e-7;
        ASSERT_NEAR(alone[i], expected, tolerance) << gate[i];
        ASSERT_EQ(out[i], alone[i] * up[i]);
      }
    }
  }
}

TEST_P(CpuFunctions, GatesOfLargeInputsAreTheInputOrNothing) {
  const std::vector<float> in = {-1e30f, -50.0f, 0.0f, 50.0f, 1e30f};
  for (const GateFunction function : functions) {
    std::vector<float> out(in.size());
    device()->gate(function, in.data(), nullptr, out.data(), in.size());
    EXPECT_NEAR(out[0], 0.0f, 1e-6f);
    EXPECT_NEAR(out[1], 0.0f, 1e-6f);
    EXPECT_EQ(out[2], 0.0f);
    EXPECT_EQ(out[3], 50.0f);
    EXPECT_EQ(out[4], 1e30f);
  }
}

TEST_P(CpuFunctions, GatesPassNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> gate = {nan, 1.0f}, up = {1.0f, nan};
  for (const GateFunction function : functions) {
    std::vector<float> out(2);
    device()->gate(function, gate.data(), up.data(), out.data(), 2);
    EXPECT_THAT(out, testing::Each(testing::IsNan()));
  }
}

TEST_P(CpuFunctions, SoftcapBendsRowsAndLeavesWhatLiesBetween) {
  const std::size_t rows = 3, columns = 20001, stride = columns + 5;
  for (const float cap : {0.5f, 30.0f}) {
    const auto before = random(rows * stride, 40.0f);
    auto x = before;
    device(2)->softcap(x.data(), cap, rows, columns, stride);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i % stride >= columns) {
        ASSERT_EQ(x[i], before[i]);
        continue;
      }
      const double expected = cap * std::tanh(static_cast<double>(before[i]) / cap);
      ASSERT_NEAR(x[i], expected, cap * 0x1p-21) << before[i];
    }
  }
}

TEST_P(CpuFunctions, ScaleMultiplies) {
  const auto before = random(40003);
  auto x = before;
  device(2)->scale(x.data(), 0.3f, x.size());
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(x[i], before[i] * 0.3f);
}

INSTANTIATE_TEST_SUITE_P(, CpuFunctions, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
