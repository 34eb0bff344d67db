// Products of the CPU device with weights that it decodes: near the sums in double of what the
// codes stand for, and bit for bit what the decoded weights give.
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

TEST_P(CpuCoded, AgreesWithSumsInDoubleAndAddsTheBiasLast) {
  const auto cpu = device();
  const std::size_t rows = 3, outputs = 7;
  for (const WeightFormat format : kDecodedFormats) {
    for (const std::size_t k : widths(format)) {
      const CodedMatrix matrix = random_codes(*this, format, k, outputs);
      const auto values = decoded(matrix);
      const auto in = random(rows * k);
      for (const DType dtype : dtypes) {
        LinearWeights weights = weights_of(matrix, dtype);
        const auto sums = run(*cpu, weights, in);
        auto bias = random(outputs);
        const auto bias_there = stored(bias, dtype);
        weights.bias = bias_there.data();
        const auto out = run(*cpu, weights, in);
        for (std::size_t i = 0; i < sums.size(); ++i) {
          double sum = 0, magnitude = 0;
          for (std::size_t c = 0; c < k; ++c) {
            const double product = rounded(in[i / outputs * k + c], dtype) *
                                   rounded(values[i % outputs * k + c], dtype);
            sum += product;
            magnitude += std::abs(product);
          }
          ASSERT_NEAR(sums[i], sum, static_cast<double>(k + 1) * 0x1p-24 * magnitude + 1e-30)
              << name(format) << " " << name(dtype) << ", " << k << " columns, " << i;
          ASSERT_EQ(out[i], sums[i] + bias[i % outputs]) << name(format) << " " << name(dtype);
        }
      }
    }
  }
}

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

TEST_P(CpuCoded, EveryCodeHasItsNumber) {
  const auto cpu = device();
  for (const WeightFormat format : {WeightFormat::Nf4, WeightFormat::Fp4}) {
    CodedMatrix matrix{format, 1, 16, {}, {}};
    for (unsigned code = 0; code < 16; ++code) {
      matrix.codes.push_back(static_cast<std::byte>(code << 4 | (code ^ 15)));
    }
    const std::vector<float> scales(16, 1.0f);
    matrix.scales.resize(64);
    std::memcpy(matrix.scales.data(), scales.data(), 64);
    const auto out = run(*cpu, weights_of(matrix, DType::F32), {1.0f});
    const auto& table = format == WeightFormat::Nf4 ? kNf4Values : kFp4Values;
    EXPECT_THAT(out, testing::ElementsAreArray(table)) << name(format);
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

TEST_P(CpuCoded, NanAndInfinityStayInTheirRow) {
  const auto cpu = device();
  const std::size_t rows = 7, outputs = 6;
  for (const WeightFormat format : kDecodedFormats) {
    const std::size_t k = block_columns(format) == 1 ? 70 : block_columns(format);
    CodedMatrix matrix = random_codes(*this, format, k, outputs);
    for (const DType dtype : dtypes) {
      auto in = random(rows * k);
      const auto clean = run(*cpu, weights_of(matrix, dtype), in);
      in[2 * k + k - 1] = std::numeric_limits<float>::quiet_NaN();
      in[4 * k] = std::numeric_limits<float>::infinity();
      const auto out = run(*cpu, weights_of(matrix, dtype), in);
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t row = i / outputs;
        if (row == 2) {
          EXPECT_TRUE(std::isnan(out[i]));
        } else if (row == 4) {
          EXPECT_FALSE(std::isfinite(out[i]));  // NaN where the weight is 0
        } else {
          EXPECT_EQ(out[i], clean[i]);
        }
      }
    }
  }
}

TEST_P(CpuCoded, ProductsOfTheSameInputsHaveTheBitsOfEachByItself) {
  const auto cpu = device(2);
  const std::size_t rows = 5, k = 256;
  const auto in = random(rows * k);
  for (const DType dtype : dtypes) {
    std::vector<CodedMatrix> matrices;
    for (const WeightFormat format :
         {WeightFormat::Q4_K, WeightFormat::Int8, WeightFormat::Int8, WeightFormat::Nf4}) {
      matrices.push_back(random_codes(*this, format, k, 20));
    }
    std::vector<std::vector<float>> expected, outs;
    std::vector<LinearProduct> products;
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      LinearWeights weights = weights_of(matrices[i], dtype);
      weights.outlier_threshold = i == 1 ? 1.5f : 0.0f;  // of the first Int8 alone
      expected.push_back(run(*cpu, weights, in));
      outs.emplace_back(rows * 20, -1.0f);
      products.push_back({weights, nullptr, 20});
    }
    for (std::size_t i = 0; i < products.size(); ++i) products[i].out = outs[i].data();
    ProductSizes sizes{dtype, rows, k};
    sizes.formats.add(WeightFormat::Int8);
    std::vector<std::byte> scratch(cpu->needs(sizes).scratch_bytes);
    cpu->set_scratch(scratch, {}, rows);
    cpu->linear_of_each(in.data(), products, rows);
    for (std::size_t i = 0; i < outs.size(); ++i) {
      EXPECT_TRUE(same_bits(outs[i], expected[i])) << name(dtype) << " " << i;
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
  ProductSizes wide{DType::BF16, 1, cpu::int8_columns + 1};
  EXPECT_GT(cpu->needs(wide).scratch_bytes, 0u);
  wide.formats.add(WeightFormat::Int8);
  EXPECT_THAT([&] { (void)cpu->needs(wide); },
              testing::ThrowsMessage<Error>(
                  "cpu linear: int8 weights of 131073 columns, expected at most 131072"));
}

INSTANTIATE_TEST_SUITE_P(, CpuCoded, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
