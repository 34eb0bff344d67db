// linear against double sums, and bit for bit against itself however the work is cut.
#include <gmock/gmock.h>

#include "sharding/error.h"
#include "tests/runtime/device/cpu_support.h"

namespace initrt::test {
namespace {

class CpuLinear : public CpuTest {
 protected:
  /// [rows, out_columns] from a device with its own scratch.
  std::vector<float> linear(Device& device, const std::vector<float>& in, const std::byte* weight,
                            DType dtype, std::size_t rows, std::size_t k, std::size_t outputs) {
    std::vector<std::byte> scratch(device.needs(dtype, rows, k).scratch_bytes);
    device.set_scratch(scratch, {}, rows);
    std::vector<float> out(rows * outputs, -1.0f);
    device.linear(in.data(), {weight, nullptr, dtype, k, outputs}, out.data(), rows, outputs);
    return out;
  }
};

TEST_P(CpuLinear, AgreesWithDoubleSums) {
  const auto cpu = device(2);
  for (const DType dtype : dtypes) {
    for (const std::size_t k : {1, 7, 17, 64, 100, 576}) {
      for (int round = 0; round < 12; ++round) {
        const std::size_t rows = 1 + below(round < 9 ? 9 : 40), outputs = 1 + below(70);
        auto in = random(rows * k);
        auto weights = random(outputs * k);
        const auto weight = stored(weights, dtype);
        const auto out = linear(*cpu, in, weight.data(), dtype, rows, k, outputs);
        for (std::size_t r = 0; r < rows; ++r) {
          for (std::size_t o = 0; o < outputs; ++o) {
            double sum = 0, magnitude = 0;
            for (std::size_t i = 0; i < k; ++i) {
              const double product = rounded(in[r * k + i], dtype) * weights[o * k + i];
              sum += product;
              magnitude += std::abs(product);
            }
            // k roundings of partial sums no larger than the sum of magnitudes.
            const double tolerance = static_cast<double>(k + 1) * 0x1p-24 * magnitude + 1e-30;
            ASSERT_NEAR(out[r * outputs + o], sum, tolerance)
                << name(dtype) << " k " << k << " row " << r << " of " << rows << " output " << o
                << " of " << outputs;
          }
        }
      }
    }
  }
}

TEST_P(CpuLinear, RowsAloneAndInABatchAreBitwiseEqual) {
  const auto cpu = device(2);
  for (const DType dtype : dtypes) {
    for (const std::size_t k : {7, 576, 1000}) {
      const std::size_t rows = 23, outputs = 37;
      const auto in = random(rows * k);
      auto weights = random(outputs * k);
      const auto weight = stored(weights, dtype);
      const auto batch = linear(*cpu, in, weight.data(), dtype, rows, k, outputs);
      for (std::size_t first = 0; first < rows;) {
        const std::size_t some = std::min(1 + below(8), rows - first);
        const std::vector<float> part(in.data() + first * k, in.data() + (first + some) * k);
        const auto out = linear(*cpu, part, weight.data(), dtype, some, k, outputs);
        const std::vector<float> expected(batch.data() + first * outputs,
                                          batch.data() + (first + some) * outputs);
        EXPECT_TRUE(same_bits(out, expected)) << name(dtype) << " k " << k << " rows " << some;
        first += some;
      }
    }
  }
}

TEST_P(CpuLinear, RowsBeyondACacheBlockAreBitwiseEqualToRowsAlone) {
  const auto cpu = device(1);
  const std::size_t rows = 61, k = 9000, outputs = 6;  // more than 1 MiB of inputs
  for (const DType dtype : dtypes) {
    const auto in = random(rows * k);
    auto weights = random(outputs * k);
    const auto weight = stored(weights, dtype);
    const auto batch = linear(*cpu, in, weight.data(), dtype, rows, k, outputs);
    for (const std::size_t r : {0, 29, 30, 60}) {
      const std::vector<float> row(in.data() + r * k, in.data() + (r + 1) * k);
      const auto out = linear(*cpu, row, weight.data(), dtype, 1, k, outputs);
      const std::vector<float> expected(batch.data() + r * outputs,
                                        batch.data() + (r + 1) * outputs);
      EXPECT_TRUE(same_bits(out, expected)) << name(dtype) << " row " << r;
    }
  }
}

TEST_P(CpuLinear, ThreadsDoNotChangeABit) {
  for (const DType dtype : dtypes) {
    const std::size_t rows = 5, k = 333, outputs = 301;
    const auto in = random(rows * k);
    auto weights = random(outputs * k);
    const auto weight = stored(weights, dtype);
    const auto one = linear(*device(1), in, weight.data(), dtype, rows, k, outputs);
    for (const unsigned threads : {2, 3}) {
      EXPECT_TRUE(
          same_bits(one, linear(*device(threads), in, weight.data(), dtype, rows, k, outputs)));
    }
  }
}

TEST_P(CpuLinear, OutputsDoNotDependOnWhereTheWeightsLie) {
  const auto cpu = device(2);
  for (const DType dtype : dtypes) {
    const std::size_t rows = 3, k = 75, outputs = 29;
    const auto in = random(rows * k);
    auto weights = random(outputs * k);
    const auto weight = stored(weights, dtype);
    const auto expected = linear(*cpu, in, weight.data(), dtype, rows, k, outputs);
    for (const std::size_t offset : {4, 64, 256, 260}) {
      std::vector<std::byte> moved(offset + weight.size());
      std::memcpy(moved.data() + offset, weight.data(), weight.size());
      EXPECT_TRUE(
          same_bits(expected, linear(*cpu, in, moved.data() + offset, dtype, rows, k, outputs)));
    }
    // An output alone has the bits it has among others: a tile of the head, or a chunk of it.
    for (const std::size_t o : {0, 3, 28}) {
      const auto alone =
          linear(*cpu, in, weight.data() + bytes_of(dtype, o * k), dtype, rows, k, 1);
      for (std::size_t r = 0; r < rows; ++r) {
        EXPECT_EQ(std::bit_cast<std::uint32_t>(alone[r]),
                  std::bit_cast<std::uint32_t>(expected[r * outputs + o]));
      }
    }
  }
}

TEST_P(CpuLinear, StrideLeavesOtherColumnsAlone) {
  const auto cpu = device();
  const std::size_t rows = 8, k = 20, outputs = 5, stride = 9;
  const auto in = random(rows * k);
  auto weights = random(outputs * k);
  const auto weight = stored(weights, DType::F32);
  const auto dense = linear(*cpu, in, weight.data(), DType::F32, rows, k, outputs);
  std::vector<float> out(rows * stride, 7.0f);
  cpu->linear(in.data(), {weight.data(), nullptr, DType::F32, k, outputs}, out.data() + 2, rows,
              stride);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t column = i % stride;
    const bool written = column >= 2 && column < 2 + outputs;
    EXPECT_EQ(out[i], written ? dense[i / stride * outputs + column - 2] : 7.0f) << i;
  }
}

TEST_P(CpuLinear, ABiasIsAddedToTheSum) {
  const std::size_t rows = 11, k = 40, outputs = 4099;
  const auto in = random(rows * k);
  for (const DType dtype : dtypes) {
    auto weights = random(outputs * k), biases = random(outputs);
    const auto weight = stored(weights, dtype), bias = stored(biases, dtype);
    const auto cpu = device(2);
    const auto sums = linear(*cpu, in, weight.data(), dtype, rows, k, outputs);
    std::vector<float> out(sums.size());
    std::vector<std::byte> scratch(cpu->needs(dtype, rows, k).scratch_bytes);
    cpu->set_scratch(scratch, {}, rows);
    cpu->linear(in.data(), {weight.data(), bias.data(), dtype, k, outputs}, out.data(), rows,
                outputs);
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i], sums[i] + biases[i % outputs]) << name(dtype) << " " << i;
    }
  }
}

TEST_P(CpuLinear, NanAndInfinityStayInTheirRow) {
  const auto cpu = device();
  const std::size_t rows = 7, k = 50, outputs = 6;
  for (const DType dtype : dtypes) {
    auto in = random(rows * k);
    auto weights = random(outputs * k);
    const auto weight = stored(weights, dtype);
    const auto clean = linear(*cpu, in, weight.data(), dtype, rows, k, outputs);
    in[2 * k + 49] = std::numeric_limits<float>::quiet_NaN();
    in[4 * k] = std::numeric_limits<float>::infinity();
    const auto out = linear(*cpu, in, weight.data(), dtype, rows, k, outputs);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t row = i / outputs;
      if (row == 2) {
        EXPECT_TRUE(std::isnan(out[i]));
      } else if (row == 4) {
        EXPECT_TRUE(std::isinf(out[i]));
      } else {
        EXPECT_EQ(out[i], clean[i]);
      }
    }
  }
}

TEST_P(CpuLinear, NoRowsAndNoOutputsDoNothing) {
  const auto cpu = device(2);
  cpu->linear(nullptr, {nullptr, nullptr, DType::F32, 16, 4}, nullptr, 0, 4);
  cpu->linear(nullptr, {nullptr, nullptr, DType::BF16, 16, 4}, nullptr, 0, 4);
  const std::vector<float> in(16);
  cpu->linear(in.data(), {nullptr, nullptr, DType::F32, 16, 0}, nullptr, 1, 0);
}

TEST_P(CpuLinear, WrongArgumentsAreErrors) {
  const auto cpu = device();
  std::vector<float> in(8), out(8);
  std::vector<std::byte> weight(64);
  EXPECT_THAT(
      [&] {
        cpu->linear(in.data(), {weight.data(), nullptr, DType::Q4_1, 8, 1}, out.data(), 1, 1);
      },
      testing::ThrowsMessage<Error>(
          "cpu linear: dtype Q4_1 is not supported, expected F32, BF16 or F16"));
  EXPECT_THAT([&] { (void)cpu->needs(DType::I8, 1, 8); }, testing::Throws<Error>());
  EXPECT_THAT(
      [&] {
        cpu->linear(in.data(), {weight.data(), nullptr, DType::F32, 8, 2}, out.data(), 1, 1);
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("cannot hold 2 columns")));
  cpu->set_scratch({}, {}, 1);
  EXPECT_THAT(
      [&] {
        cpu->linear(in.data(), {weight.data(), nullptr, DType::BF16, 8, 1}, out.data(), 1, 1);
      },
      testing::ThrowsMessage<Error>(testing::HasSubstr("0 bytes of scratch")));
}

INSTANTIATE_TEST_SUITE_P(, CpuLinear, testing::ValuesIn(supported_sets()), set_name);

}  // namespace
}  // namespace initrt::test
