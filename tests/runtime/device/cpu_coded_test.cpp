// Products of the CPU device with weights that it decodes: bit for bit what the decoded weights
// give. device_coded_test.cpp has what holds for every device.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/cpu_coded_test.h"

namespace initrt::test {
namespace {

class CpuCoded : public CpuCodedTest {
 protected:
  /// Widths that end in every kind of tail the format has.
  static std::vector<std::size_t> widths(WeightFormat format) {
    const std::size_t block = block_columns(format);
    if (block == 1) return {1, 2, 31, 63, 64, 65, 130, 577, 1024, 1087, 2049};
    return {block, block * 2, block * 3, block * 5, 1024, 1024 + block, 2048 + 3 * block};
  }
};

TEST_P(CpuCoded, HasTheBitsOfTheDecodedWeights) {
  const auto cpu = device(2);
  const std::size_t rows = 13, outputs = 23;
  for (const WeightFormat format : kDecodedFormats) {
    for (const std::size_t k : widths(format)) {
      const CodedMatrix matrix = random_codes(*this, format, k, outputs);
      const auto in = random(rows * k);
      for (const DType dtype : dtypes) {
        auto values = decoded(matrix);
        const auto numbers = stored(values, dtype);
        LinearWeights plain = weights_of(matrix, dtype);
        plain.format = WeightFormat::Plain;
        plain.weight = numbers.data();
        EXPECT_TRUE(same_bits(run(*cpu, weights_of(matrix, dtype), in), run(*cpu, plain, in)))
            << name(format) << " " << name(dtype) << ", " << k << " columns";
      }
    }
  }
}

TEST_P(CpuCoded, ARowHasTheSameBitsInAnyCompanyAndStrideLeavesTheRestAlone) {
  const auto cpu = device(2);
  constexpr std::size_t kRows = 230, kOutputs = 9, kStride = 12;
  for (const WeightFormat format : kDecodedFormats) {
    const std::size_t k = block_columns(format) == 1 ? 101 : block_columns(format);
    const CodedMatrix matrix = random_codes(*this, format, k, kOutputs);
    const auto in = random(kRows * k);
    for (const DType dtype : dtypes) {
      const auto all = run(*cpu, weights_of(matrix, dtype), in, kStride);
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (i % kStride >= kOutputs) {
          ASSERT_EQ(all[i], 7.0f) << i;
        }
      }
      for (std::size_t r = 0; r < 17; ++r) {
        EXPECT_TRUE(same_bits(run(*cpu, weights_of(matrix, dtype), part(in, r * k, k), kStride),
                              part(all, r * kStride, kStride)))
            << name(format) << " " << name(dtype) << " row " << r;
      }
      for (std::size_t rows = 2; rows <= 17; ++rows) {
        const std::size_t first = kRows - 50 + rows;
        EXPECT_TRUE(
            same_bits(run(*cpu, weights_of(matrix, dtype), part(in, first * k, rows * k), kStride),
                      part(all, first * kStride, rows * kStride)))
            << name(format) << " " << name(dtype) << ", " << rows << " rows";
      }
    }
  }
}

TEST_P(CpuCoded, ThreadsAndBlocksDoNotChangeABit) {
  const std::size_t rows = 7, outputs = 53;
  for (const WeightFormat format : kDecodedFormats) {
    const std::size_t k = block_columns(format) == 1 ? 131 : block_columns(format);
    const CodedMatrix matrix = random_codes(*this, format, k, outputs);
    const auto in = random(rows * k);
    for (const DType dtype : dtypes) {
      LinearWeights weights = weights_of(matrix, dtype);
      auto bias = random(outputs);
      const auto bias_dense = stored(bias, dtype);
      weights.bias = bias_dense.data();
      const auto expected = run(*device(1), weights, in);
      for (const unsigned threads : {2, 3}) {
        const auto cpu = device(threads);
        EXPECT_TRUE(same_bits(run(*cpu, weights, in), expected)) << name(format);
        for (const std::size_t block : {1, 7, 16, 52, 53}) {
          const std::size_t stride = block * matrix.row_bytes() + block * 256 + 13;
          const HostBlocks codes(matrix.codes, matrix.row_bytes(), block, stride);
          const HostBlocks scales(matrix.scales, matrix.scale_row_bytes(), block, stride);
          const HostBlocks biases(bias_dense, bytes_of(dtype, 1), block, stride);
          LinearWeights cut = weights;
          cut.weight = codes.blocks;
          cut.scales = scales.blocks;
          cut.bias = biases.blocks;
          EXPECT_TRUE(same_bits(run(*cpu, cut, in), expected))
              << name(format) << " " << name(dtype) << ", blocks of " << block;
        }
      }
    }
  }
}

TEST_P(CpuCoded, WrongArgumentsAreErrors) {
  const auto cpu = device();
  CodedMatrix matrix = random_codes(*this, WeightFormat::Nf4, 64, 2);
  LinearWeights weights = weights_of(matrix, DType::F32);
  weights.scales = {};
  EXPECT_THAT([&] { run(*cpu, weights, std::vector<float>(64)); },
              testing::ThrowsMessage<Error>("cpu linear: nf4 weights without their scales"));
  weights = weights_of(matrix, DType::F32);
  weights.format = WeightFormat::Q4_K;
  EXPECT_THROW(run(*cpu, weights, std::vector<float>(64)), Error);  // no whole block
}

INSTANTIATE_TEST_SUITE_P(, CpuCoded, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
