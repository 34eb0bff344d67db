// LLM.int8() on the CPU device: the same bits for any rows, threads and blocks, and by every
// instruction set. device_int8_test.cpp has what it computes.
#include <gmock/gmock.h>

#include "tests/runtime/device/cpu_coded_test.h"

namespace initrt::test {
namespace {

class CpuInt8 : public CpuCodedTest {
 protected:
  CodedMatrix make(std::size_t columns, std::size_t rows) {
    return random_int8_codes(*this, columns, rows);
  }
};

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
