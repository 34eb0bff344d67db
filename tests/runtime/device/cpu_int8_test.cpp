// LLM.int8() on the CPU device: what it computes, step by step, and the same bits by every
// instruction set.
#include <gmock/gmock.h>

#include "tests/runtime/device/cpu_coded_test.h"

namespace initrt::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class CpuInt8 : public CpuCodedTest {
 protected:
  CodedMatrix make(std::size_t columns, std::size_t rows) {
    CodedMatrix matrix = random_codes(*this, WeightFormat::Int8, columns, rows);
    for (std::size_t row = 0; row < rows; ++row) {  // codes are of [-127, 127]
      for (std::size_t k = 0; k < columns; ++k) {
        std::byte& code = matrix.codes[row * columns + k];
        if (code == std::byte{0x80}) code = std::byte{0x81};
      }
    }
    return matrix;
  }

  static int code(const CodedMatrix& matrix, std::size_t row, std::size_t k) {
    return static_cast<std::int8_t>(matrix.codes[row * matrix.columns + k]);
  }

  /// One output, each step as float32 rounds it.
  static float reference(const CodedMatrix& matrix, std::size_t row, const float* in, DType dtype,
                         float threshold) {
    std::vector<float> x(matrix.columns);
    float largest = 0.0f;
    const auto is_outlier = [&](float v) { return threshold > 0 && std::abs(v) >= threshold; };
    for (std::size_t k = 0; k < x.size(); ++k) {
      x[k] = static_cast<float>(rounded(in[k], dtype));
      if (!is_outlier(x[k])) largest = std::max(largest, std::abs(x[k]));
    }
    std::int64_t sum = 0;
    float outliers = 0.0f;
    bool any = false;
    const float scale = matrix.scale(row, 0);
    for (std::size_t k = 0; k < x.size(); ++k) {
      if (is_outlier(x[k])) {
        const float weight = static_cast<float>(code(matrix, row, k)) * scale / 127.0f;
        outliers += x[k] * static_cast<float>(rounded(weight, dtype));
        any = true;
      } else if (largest > 0) {
        sum += static_cast<std::int64_t>(std::nearbyint(x[k] * (127.0f / largest))) *
               code(matrix, row, k);
      }
    }
    const float exact = static_cast<float>(sum) * (largest * scale / 16129.0f);
    return any ? exact + outliers : exact;
  }
};

TEST_P(CpuInt8, HasTheBitsOfEachStepRoundedByItself) {
  const auto cpu = device(2);
  const std::size_t rows = 8, outputs = 11;
  for (const std::size_t k : {1, 15, 16, 63, 64, 100, 1000, 4099}) {
    const CodedMatrix matrix = make(k, outputs);
    auto in = random(rows * k);
    std::fill_n(in.begin() + static_cast<std::ptrdiff_t>(2 * k), k, 0.0f);
    for (std::size_t c = 0; c < k; ++c) in[3 * k + c] = c % 2 == 0 ? 2.5f : -2.5f;  // +-127
    for (std::size_t c = 0; c < k; ++c) in[4 * k + c] = (static_cast<float>(c % 255) - 127) / 2;
    for (const DType dtype : dtypes) {
      for (const float threshold : {0.0f, 6.0f, 2.0f, 1e-30f}) {
        LinearWeights weights = weights_of(matrix, dtype);
        weights.outlier_threshold = threshold;
        const auto out = run(*cpu, weights, in);
        for (std::size_t i = 0; i < out.size(); ++i) {
          const float expected =
              reference(matrix, i % outputs, in.data() + i / outputs * k, dtype, threshold);
          ASSERT_EQ(out[i], expected) << name(dtype) << ", " << k << " columns, threshold "
                                      << threshold << ", row " << i / outputs;
        }
      }
    }
  }
}

// What the definition is for: it stays near the product with the dequantized weights, and outliers
// bring it nearer.
TEST_P(CpuInt8, OutliersKeepTheirPrecision) {
  const auto cpu = device();
  const std::size_t k = 512, outputs = 16;
  const CodedMatrix matrix = make(k, outputs);
  auto in = random(k);
  in[100] = 80.0f;
  in[333] = -65.0f;
  LinearWeights weights = weights_of(matrix, DType::F32);
  const auto without = run(*cpu, weights, in);
  weights.outlier_threshold = 6.0f;
  const auto with = run(*cpu, weights, in);
  double error_without = 0, error_with = 0;
  for (std::size_t o = 0; o < outputs; ++o) {
    double sum = 0;
    for (std::size_t c = 0; c < k; ++c) {
      sum += static_cast<double>(in[c]) * code(matrix, o, c) * matrix.scale(o, 0) / 127;
    }
    error_without += std::abs(without[o] - sum);
    error_with += std::abs(with[o] - sum);
  }
  EXPECT_LT(error_with, error_without / 5);
}

TEST_P(CpuInt8, TheLargestSumsAreExact) {
  const auto cpu = device();
  const std::size_t k = cpu::int8_columns;
  CodedMatrix matrix{WeightFormat::Int8, k, 3, {}, {}};
  matrix.codes.assign(3 * k, std::byte{127});
  std::fill_n(matrix.codes.begin() + static_cast<std::ptrdiff_t>(k), k, std::byte{0x80});  // -128
  matrix.codes[2 * k] = std::byte{126};
  const float scales[] = {127.0f, 127.0f, 127.0f};
  matrix.scales.resize(sizeof scales);
  std::memcpy(matrix.scales.data(), scales, sizeof scales);
  for (const float sign : {1.0f, -1.0f}) {
    const auto out =
        run(*cpu, weights_of(matrix, DType::F32), std::vector<float>(k, sign * 127.0f));
    const double n = static_cast<double>(k);
    EXPECT_EQ(out[0], static_cast<float>(sign * 127 * 127 * n));
    EXPECT_EQ(out[1], static_cast<float>(sign * -128 * 127 * n));
    EXPECT_EQ(out[2], static_cast<float>(sign * 127 * (127 * n - 1)));
  }
}

TEST_P(CpuInt8, RowsThreadsAndBlocksDoNotChangeABit) {
  const std::size_t rows = 111, k = 150, outputs = 53;
  const CodedMatrix matrix = make(k, outputs);
  const auto in = random(rows * k);
  for (const DType dtype : dtypes) {
    LinearWeights weights = weights_of(matrix, dtype);
    weights.outlier_threshold = 2.5f;
    auto bias = random(outputs);
    const auto bias_dense = stored(bias, dtype);
    weights.bias = bias_dense.data();
    const auto expected = run(*device(1), weights, in);
    for (const unsigned threads : {1, 2, 3}) {
      const auto cpu = device(threads);
      for (const std::size_t block : {1, 7, 52, 53}) {
        const std::size_t stride = block * k + 128;
        const HostBlocks codes(matrix.codes, k, block, stride);
        const HostBlocks scales(matrix.scales, 4, block, stride);
        const HostBlocks biases(bias_dense, bytes_of(dtype, 1), block, stride);
        LinearWeights cut = weights;
        cut.weight = codes.blocks;
        cut.scales = scales.blocks;
        cut.bias = biases.blocks;
        EXPECT_TRUE(same_bits(run(*cpu, cut, in), expected)) << name(dtype) << " " << block;
      }
      for (std::size_t some = 1; some <= 17; ++some) {
        const std::size_t first = rows - 17;
        EXPECT_TRUE(same_bits(run(*cpu, weights, part(in, first * k, some * k)),
                              part(expected, first * outputs, some * outputs)))
            << name(dtype) << ", " << some << " rows";
      }
    }
  }
}

// Inputs that become NaN are all that a NaN spoils, and an infinity that is no outlier.
TEST_P(CpuInt8, NanAndInfinityStayInTheirRow) {
  const auto cpu = device();
  const std::size_t rows = 7, k = 100, outputs = 6;
  const CodedMatrix matrix = make(k, outputs);
  for (const DType dtype : dtypes) {
    for (const float threshold : {0.0f, 6.0f}) {
      LinearWeights weights = weights_of(matrix, dtype);
      weights.outlier_threshold = threshold;
      auto in = random(rows * k);
      const auto clean = run(*cpu, weights, in);
      in[2 * k + 99] = kNan;
      in[4 * k] = -kInfinity;
      const auto out = run(*cpu, weights, in);
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t row = i / outputs;
        if (row == 2) {
          EXPECT_TRUE(std::isnan(out[i]));
        } else if (row == 4) {
          EXPECT_FALSE(std::isfinite(out[i])) << threshold;
        } else {
          EXPECT_EQ(out[i], clean[i]);
        }
      }
    }
  }
}

TEST_P(CpuInt8, MagnitudesAtTheEndsOfTheRange) {
  const auto cpu = device();
  CodedMatrix matrix = make(4, 1);
  for (std::size_t k = 0; k < 4; ++k) matrix.codes[k] = std::byte{100};
  const float scale = 1.0f;
  std::memcpy(matrix.scales.data(), &scale, 4);
  const LinearWeights weights = weights_of(matrix, DType::F32);
  EXPECT_EQ(run(*cpu, weights, {1e-40f, 0, 0, 0})[0], 0.0f);  // too small to divide by
  EXPECT_EQ(run(*cpu, weights, {0, 0, 0, -0.0f})[0], 0.0f);
  EXPECT_NEAR(run(*cpu, weights, {3e38f, 0, 0, 0})[0], 3e38f * (100.0f / 127), 1e32);
}

INSTANTIATE_TEST_SUITE_P(, CpuInt8, testing::ValuesIn(supported_sets()), set_name);

TEST(CpuInt8Sets, AllInstructionSetsHaveTheSameBits) {
  Random numbers;
  const std::size_t rows = 9, k = 777, outputs = 37;
  const CodedMatrix matrix = random_codes(numbers, WeightFormat::Int8, k, outputs);
  const auto in = numbers.random(rows * k);
  for (const DType dtype : dtypes) {
    for (const float threshold : {0.0f, 2.0f}) {
      LinearWeights weights;
      weights.weight = matrix.codes.data();
      weights.scales = matrix.scales.data();
      weights.dtype = dtype;
      weights.format = WeightFormat::Int8;
      weights.in_columns = k;
      weights.out_columns = outputs;
      weights.outlier_threshold = threshold;
      std::vector<float> expected;
      for (const InstructionSet set : supported_sets()) {
        const auto cpu = make_cpu_device(set, 1);
        ProductSizes sizes{dtype, rows, k};
        sizes.formats.add(WeightFormat::Int8);
        std::vector<std::byte> scratch(cpu->needs(sizes).scratch_bytes);
        cpu->set_scratch(scratch, {}, rows);
        std::vector<float> out(rows * outputs);
        cpu->linear(in.data(), weights, out.data(), rows, outputs);
        if (expected.empty()) expected = out;
        EXPECT_TRUE(same_bits(out, expected)) << name(set) << " " << name(dtype);
      }
    }
  }
}

}  // namespace
}  // namespace initrt::test
