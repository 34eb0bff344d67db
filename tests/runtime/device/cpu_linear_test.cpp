// Products of the CPU device: what of their bits is promised of it alone, and its errors.
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
    std::vector<std::byte> scratch(device.needs({dtype, rows, k}).scratch_bytes);
    device.set_scratch(scratch, {}, rows);
    std::vector<float> out(rows * outputs, -1.0f);
    device.linear(in.data(), {weight, nullptr, dtype, k, outputs}, out.data(), rows, outputs);
    return out;
  }
};

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

TEST_P(CpuLinear, ARowHasTheSameBitsAmongManyRowsColumnsAndOutputs) {
  const auto cpu = device();
  for (const DType dtype : dtypes) {
    // Of bf16 weights so many rows and outputs that a piece has more rows than tiles sum at once.
    const bool tiles = dtype == DType::BF16;
    const std::size_t rows = tiles ? 262 : 70, k = 1035, outputs = tiles ? 390 : 130;
    const auto in = random(rows * k);
    auto weights = random(outputs * k);
    const auto weight = stored(weights, dtype);
    const auto all = linear(*cpu, in, weight.data(), dtype, rows, k, outputs);
    for (const std::size_t count : {1, 15, 16, 17, 31, 33}) {  // around tiles of rows
      const std::size_t first = rows - count;
      EXPECT_TRUE(same_bits(
          linear(*cpu, part(in, first * k, count * k), weight.data(), dtype, count, k, outputs),
          part(all, first * outputs, count * outputs)))
          << name(dtype) << ", " << count << " rows";
    }
  }
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
  EXPECT_THAT([&] { (void)cpu->needs({DType::I8, 1, 8}); }, testing::Throws<Error>());
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
