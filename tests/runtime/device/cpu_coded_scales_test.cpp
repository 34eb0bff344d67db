// Products of the CPU device with weights whose scales are codes: bit for bit those with the same
// scales as float32.
#include <gmock/gmock.h>

#include <cmath>

#include "runtime/convert/scale_codes.h"
#include "sharding/error.h"
#include "tests/runtime/device/cpu_coded_test.h"

namespace initrt::test {
namespace {

/// A matrix with coded scales, and the same with what these stand for.
struct Both {
  CodedMatrix coded, floats;
};

class CpuCodedScales : public CpuCodedTest {
 protected:
  Both random_both(WeightFormat format, std::size_t columns, std::size_t rows) {
    Both both;
    both.floats = random_codes(*this, with_float_scales(format), columns, rows);
    std::vector<float> scales(both.floats.scales.size() / sizeof(float));
    std::memcpy(scales.data(), both.floats.scales.data(), both.floats.scales.size());
    for (float& scale : scales) scale = std::abs(scale);
    both.coded = both.floats;
    both.coded.format = format;
    both.coded.scales.resize(rows * both.coded.scale_row_bytes());
    code_all_scales(scales, columns, both.coded.scales.data());
    for (std::size_t row = 0; row < rows; ++row) {
      decode_scales(both.coded.scales.data() + row * both.coded.scale_row_bytes(), columns,
                    scales.data());
      std::memcpy(both.floats.scales.data() + row * both.floats.scale_row_bytes(), scales.data(),
                  both.floats.scale_row_bytes());
    }
    return both;
  }
};

constexpr WeightFormat kFormats[] = {WeightFormat::Nf4Dq, WeightFormat::Fp4Dq};

// Rows of one scale to 70, so that blocks of 256 begin anywhere in a row; the widest also has more
// than are decoded at once.
TEST_P(CpuCodedScales, HaveTheBitsOfTheSameAsFloats) {
  const auto cpu = device(2);
  for (const WeightFormat format : kFormats) {
    for (const std::size_t k : {1, 31, 64, 65, 130, 577, 1024, 1087, 2049, 4480}) {
      const std::size_t outputs = k > 4000 ? 11 : 300;
      const Both both = random_both(format, k, outputs);
      for (const std::size_t rows : {1, 5}) {
        const auto in = random(rows * k);
        for (const DType dtype : dtypes) {
          EXPECT_TRUE(same_bits(run(*cpu, weights_of(both.coded, dtype), in),
                                run(*cpu, weights_of(both.floats, dtype), in)))
              << name(format) << " " << name(dtype) << ", " << k << " columns, " << rows << " rows";
        }
      }
    }
  }
}

TEST_P(CpuCodedScales, ThreadsAndBlocksDoNotChangeABit) {
  const std::size_t rows = 3, outputs = 53, k = 700;
  for (const WeightFormat format : kFormats) {
    const Both both = random_both(format, k, outputs);
    const auto in = random(rows * k);
    for (const DType dtype : dtypes) {
      const LinearWeights weights = weights_of(both.coded, dtype);
      const auto expected = run(*device(1), weights, in);
      const auto cpu = device(3);
      for (const std::size_t block : {1, 7, 52, 53}) {
        const std::size_t stride = block * both.coded.row_bytes() + 13;
        const HostBlocks codes(both.coded.codes, both.coded.row_bytes(), block, stride);
        const HostBlocks scales(both.coded.scales, both.coded.scale_row_bytes(), block, stride);
        LinearWeights cut = weights;
        cut.weight = codes.blocks;
        cut.scales = scales.blocks;
        EXPECT_TRUE(same_bits(run(*cpu, cut, in), expected))
            << name(format) << " " << name(dtype) << ", blocks of " << block;
      }
    }
  }
}

TEST_P(CpuCodedScales, AreAskedFor) {
  const auto cpu = device();
  const Both both = random_both(WeightFormat::Nf4Dq, 64, 2);
  LinearWeights weights = weights_of(both.coded, DType::F32);
  weights.scales = {};
  EXPECT_THAT([&] { run(*cpu, weights, std::vector<float>(64)); },
              testing::ThrowsMessage<Error>("cpu linear: nf4-dq weights without their scales"));
}

INSTANTIATE_TEST_SUITE_P(, CpuCodedScales, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
