// Norms against double, and bit for bit against themselves in any company.
#include <gmock/gmock.h>

#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {
namespace {

class CpuNorm : public CpuTest {};

/// What one element of a normed row is, in double, without weight and bias.
double normed(NormKind kind, const float* row, std::size_t columns, std::size_t i, double epsilon) {
  double mean = 0, squares = 0;
  const auto count = static_cast<double>(columns);
  for (std::size_t c = 0; c < columns; ++c) mean += row[c] / count;
  if (kind == NormKind::Rms) mean = 0;
  for (std::size_t c = 0; c < columns; ++c) squares += (row[c] - mean) * (row[c] - mean);
  return (row[i] - mean) / std::sqrt(squares / count + epsilon);
}

TEST_P(CpuNorm, AgreesWithDouble) {
  const auto cpu = device(2);
  for (const NormKind kind : {NormKind::Rms, NormKind::Layer}) {
    for (const DType dtype : dtypes) {
      for (const std::size_t columns : {1, 7, 17, 576, 2000}) {
        const std::size_t rows = 1 + below(40);
        auto in = random(rows * columns, 3.0f);
        for (float& x : in) x += 1.0f;  // a mean that matters
        auto weights = random(columns), biases = random(columns);
        const auto weight = stored(weights, dtype), bias = stored(biases, dtype);
        for (const bool with_bias : {false, true}) {
          for (const float offset : {0.0f, 1.0f}) {
            std::vector<float> out(in.size());
            cpu->norm(kind, in.data(),
                      {weight.data(), with_bias ? bias.data() : nullptr, dtype, offset}, 1e-5f,
                      out.data(), rows, columns);
            for (std::size_t i = 0; i < in.size(); ++i) {
              const std::size_t c = i % columns;
              const double value = normed(kind, in.data() + i - c, columns, c, 1e-5f);
              const double product = value * (static_cast<double>(weights[c]) + offset);
              const double expected = product + (with_bias ? biases[c] : 0.0f);
              const double magnitude =
                  (std::abs(value) + 1) * (std::abs(weights[c]) + offset) + std::abs(biases[c]);
              ASSERT_NEAR(out[i], expected,
                          magnitude * (static_cast<double>(columns) / 2 + 8) * 0x1p-24)
                  << name(dtype) << " " << columns << " columns";
            }
          }
        }
      }
    }
  }
}

TEST_P(CpuNorm, ARowDoesNotDependOnOthersOrThreadsAndMayBeInPlace) {
  const std::size_t rows = 50, columns = 577;
  const auto in = random(rows * columns);
  auto weights = random(columns);
  const auto weight = stored(weights, DType::F32);
  const NormWeights all{weight.data(), weight.data(), DType::F32, 1.0f};
  for (const NormKind kind : {NormKind::Rms, NormKind::Layer}) {
    std::vector<float> one(in.size()), three(in.size()), alone(in.size()), placed = in;
    device(1)->norm(kind, in.data(), all, 1e-6f, one.data(), rows, columns);
    device(3)->norm(kind, in.data(), all, 1e-6f, three.data(), rows, columns);
    const auto cpu = device();
    for (std::size_t r = 0; r < rows; ++r) {
      cpu->norm(kind, in.data() + r * columns, all, 1e-6f, alone.data() + r * columns, 1, columns);
    }
    cpu->norm(kind, placed.data(), all, 1e-6f, placed.data(), rows, columns);
    EXPECT_TRUE(same_bits(one, three));
    EXPECT_TRUE(same_bits(one, alone));
    EXPECT_TRUE(same_bits(one, placed));
  }
}

INSTANTIATE_TEST_SUITE_P(, CpuNorm, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
