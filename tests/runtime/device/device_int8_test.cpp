// LLM.int8() on every device: what it computes, step by step, so that all have the same bits.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/device_coded.h"

namespace initrt::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kMostColumns = 1 << 17;  // whose sums are exact

class DeviceInt8 : public DeviceCodedTest {
 protected:
  CodedMatrix make(std::size_t columns, std::size_t rows) {
    return random_int8_codes(*this, columns, rows);
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
INSTANTIATE_TEST_SUITE_P(, DeviceInt8, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceInt8, HasTheBitsOfEachStepRoundedByItself) {
  auto device = this->device();
  const std::size_t rows = 8, outputs = 11;
  for (const std::size_t k : {1, 15, 16, 63, 64, 100, 1000, 4099}) {
    const CodedMatrix matrix = make(k, outputs);
    auto in = random(rows * k);
    std::fill_n(in.begin() + static_cast<std::ptrdiff_t>(2 * k), k, 0.0f);
    for (std::size_t c = 0; c < k; ++c) in[3 * k + c] = c % 2 == 0 ? 2.5f : -2.5f;  // +-127
    for (std::size_t c = 0; c < k; ++c) in[4 * k + c] = (static_cast<float>(c % 255) - 127) / 2;
    for (const DType dtype : dtypes) {
      for (const float threshold : {0.0f, 6.0f, 2.0f, 1e-30f}) {
        CodedThere there(device, matrix, dtype);
        LinearWeights& weights = there.weights;
        weights.outlier_threshold = threshold;
        const auto out = run(device, weights, in);
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
TEST_P(DeviceInt8, OutliersKeepTheirPrecision) {
  auto device = this->device();
  const std::size_t k = 512, outputs = 16;
  const CodedMatrix matrix = make(k, outputs);
  auto in = random(k);
  in[100] = 80.0f;
  in[333] = -65.0f;
  CodedThere there(device, matrix, DType::F32);
  LinearWeights& weights = there.weights;
  const auto without = run(device, weights, in);
  weights.outlier_threshold = 6.0f;
  const auto with = run(device, weights, in);
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

TEST_P(DeviceInt8, TheLargestSumsAreExact) {
  auto device = this->device();
  const std::size_t k = kMostColumns;
  CodedMatrix matrix{WeightFormat::Int8, k, 3, {}, {}};
  matrix.codes.assign(3 * k, std::byte{127});
  std::fill_n(matrix.codes.begin() + static_cast<std::ptrdiff_t>(k), k, std::byte{0x80});  // -128
  matrix.codes[2 * k] = std::byte{126};
  const float scales[] = {127.0f, 127.0f, 127.0f};
  matrix.scales.resize(sizeof scales);
  std::memcpy(matrix.scales.data(), scales, sizeof scales);
  for (const float sign : {1.0f, -1.0f}) {
    const auto out = run(device, matrix, DType::F32, std::vector<float>(k, sign * 127.0f));
    const double n = static_cast<double>(k);
    EXPECT_EQ(out[0], static_cast<float>(sign * 127 * 127 * n));
    EXPECT_EQ(out[1], static_cast<float>(sign * -128 * 127 * n));
    EXPECT_EQ(out[2], static_cast<float>(sign * 127 * (127 * n - 1)));
  }
}

// Inputs that become NaN are all that a NaN spoils, and an infinity that is no outlier.
TEST_P(DeviceInt8, NanAndInfinityStayInTheirRow) {
  auto device = this->device();
  const std::size_t rows = 7, k = 100, outputs = 6;
  const CodedMatrix matrix = make(k, outputs);
  for (const DType dtype : dtypes) {
    for (const float threshold : {0.0f, 6.0f}) {
      CodedThere there(device, matrix, dtype);
      LinearWeights& weights = there.weights;
      weights.outlier_threshold = threshold;
      auto in = random(rows * k);
      const auto clean = run(device, weights, in);
      in[2 * k + 99] = kNan;
      in[4 * k] = -kInfinity;
      const auto out = run(device, weights, in);
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

TEST_P(DeviceInt8, MagnitudesAtTheEndsOfTheRange) {
  auto device = this->device();
  CodedMatrix matrix = make(4, 1);
  for (std::size_t k = 0; k < 4; ++k) matrix.codes[k] = std::byte{100};
  const float scale = 1.0f;
  std::memcpy(matrix.scales.data(), &scale, 4);
  const CodedThere there(device, matrix, DType::F32);
  const LinearWeights& weights = there.weights;
  EXPECT_EQ(run(device, weights, {1e-40f, 0, 0, 0})[0], 0.0f);  // too small to divide by
  EXPECT_EQ(run(device, weights, {0, 0, 0, -0.0f})[0], 0.0f);
  EXPECT_NEAR(run(device, weights, {3e38f, 0, 0, 0})[0], 3e38f * (100.0f / 127), 1e32);
}

TEST_P(DeviceInt8, RowsAndBlocksDoNotChangeABit) {
  auto device = this->device();
  const std::size_t rows = 19, outputs = 23;
  for (const std::size_t k : {150, 2064}) {
    const CodedMatrix matrix = make(k, outputs);
    const auto in = random(rows * k);
    for (const DType dtype : dtypes) {
      CodedThere there(device, matrix, dtype);
      there.weights.outlier_threshold = 2.5f;
      auto bias = random(outputs);
      const auto bias_dense = stored(bias, dtype);
      const auto bias_there = device.put(bias_dense);
      there.weights.bias = bias_there.get();
      const auto expected = run(device, there.weights, in);
      for (const std::size_t block : {1, 7, 22, 23}) {
        const BlocksOfRows codes(device, matrix.codes, k, block);
        const BlocksOfRows scales(device, matrix.scales, 4, block);
        const BlocksOfRows biases(device, bias_dense, bytes_of(dtype, 1), block);
        LinearWeights cut = there.weights;
        cut.weight = codes.blocks;
        cut.scales = scales.blocks;
        cut.bias = biases.blocks;
        EXPECT_TRUE(same_bits(run(device, cut, in), expected)) << name(dtype) << " " << block;
      }
      for (const std::size_t some : {1, 2, 4, 5, 8, 9, 17}) {
        const std::size_t first = below(rows - some + 1);
        EXPECT_TRUE(same_bits(run(device, there.weights, part(in, first * k, some * k)),
                              part(expected, first * outputs, some * outputs)))
            << name(dtype) << ", " << some << " rows";
      }
    }
  }
}

TEST_P(DeviceInt8, MoreColumnsThanSumsAreExactForAreAnError) {
  const auto device = GetParam().make(1);
  ProductSizes wide{DType::BF16, 1, kMostColumns + 1};
  EXPECT_GT(device->needs(wide).scratch_bytes, 0u);
  wide.formats.add(WeightFormat::Int8);
  EXPECT_THAT([&] { (void)device->needs(wide); },
              testing::ThrowsMessage<Error>(testing::HasSubstr(
                  " linear: int8 weights of 131073 columns, expected at most 131072")));
}

}  // namespace
}  // namespace initrt::test
