// Norms of every device against sums in double, and bit for bit against themselves in other
// company.
#include "tests/runtime/device/devices.h"

namespace initrt::test {
namespace {

/// On both sides of where another number of threads takes a row, or keeps it in registers.
constexpr std::size_t kColumns[] = {1,   7,    17,   64,   128,  130,  576,
                                    577, 1024, 1025, 2000, 4096, 4101, 33000};

struct Weights {
  std::vector<float> weight, bias;
  DType dtype = DType::F32;
  bool with_bias = false;
  float offset = 0.0f;
};

class DeviceNorm : public DeviceTest {
 protected:
  /// @param misaligned bytes, of rows in and out
  static std::vector<float> run(OnDevice& device, NormKind kind, const std::vector<float>& in,
                                Weights weights, std::size_t misaligned = 0,
                                bool in_place = false) {
    const auto rows = device.put(in, misaligned);
    const auto out = device.put(std::vector<float>(in.size()), misaligned);
    const auto weight = device.put(stored(weights.weight, weights.dtype));
    const auto bias = device.put(stored(weights.bias, weights.dtype));
    const std::size_t columns = weights.weight.size();
    device->norm(
        kind, rows.get(),
        {weight.get(), weights.with_bias ? bias.get() : nullptr, weights.dtype, weights.offset},
        1e-5f, in_place ? rows.get() : out.get(), in.size() / columns, columns);
    return device.get(in_place ? rows : out);
  }
};
INSTANTIATE_TEST_SUITE_P(, DeviceNorm, testing::ValuesIn(all_devices()), device_name);

/// A row without weight and bias, in double.
std::vector<double> normed(NormKind kind, const float* row, std::size_t columns) {
  double mean = 0, squares = 0;
  const auto count = static_cast<double>(columns);
  for (std::size_t c = 0; c < columns; ++c) mean += row[c] / count;
  if (kind == NormKind::Rms) mean = 0;
  for (std::size_t c = 0; c < columns; ++c) squares += (row[c] - mean) * (row[c] - mean);
  std::vector<double> out(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    out[c] = (row[c] - mean) / std::sqrt(squares / count + 1e-5);
  }
  return out;
}

TEST_P(DeviceNorm, AgreesWithSumsInDouble) {
  auto device = this->device();
  for (const std::size_t columns : kColumns) {
    const std::size_t rows = columns > 4000 ? 3 : 1 + below(20);
    auto in = random(rows * columns, 3.0f);
    for (float& x : in) x += 1.0f;  // a mean that matters
    for (const NormKind kind : {NormKind::Rms, NormKind::Layer}) {
      for (const DType dtype : dtypes) {
        for (const bool with_bias : {false, true}) {
          Weights weights{random(columns), random(columns), dtype, with_bias,
                          with_bias == (kind == NormKind::Rms) ? 1.0f : 0.0f};
          const auto out = run(device, kind, in, weights);
          (void)stored(weights.weight, dtype);
          (void)stored(weights.bias, dtype);
          for (std::size_t r = 0; r < rows; ++r) {
            const auto values = normed(kind, in.data() + r * columns, columns);
            for (std::size_t c = 0; c < columns; ++c) {
              const double weight = weights.weight[c], bias = weights.bias[c];
              const double expected =
                  values[c] * (weight + weights.offset) + (with_bias ? bias : 0.0);
              const double magnitude =
                  (std::abs(values[c]) + 1) * (std::abs(weight) + weights.offset) + std::abs(bias);
              ASSERT_NEAR(out[r * columns + c], expected,
                          magnitude *
                              (static_cast<double>(std::min<std::size_t>(columns, 500)) / 2 + 8) *
                              0x1p-24)
                  << name(dtype) << ", " << columns << " columns";
            }
          }
        }
      }
    }
  }
}

TEST_P(DeviceNorm, WithoutWeightsHasTheBitsOfWeightsOfOne) {
  auto device = this->device();
  for (const std::size_t columns : kColumns) {
    const auto in = random(3 * columns, 3.0f);
    const auto rows = device.put(in);
    const auto out = device.put(std::vector<float>(in.size()));
    for (const NormKind kind : {NormKind::Rms, NormKind::Layer}) {
      for (const DType dtype : dtypes) {
        const Weights ones{std::vector<float>(columns, 1.0f), std::vector<float>(columns), dtype};
        device->norm(kind, rows.get(), {.dtype = dtype}, 1e-5f, out.get(), 3, columns);
        EXPECT_TRUE(same_bits(device.get(out), run(device, kind, in, ones)))
            << name(dtype) << ", " << columns << " columns";
      }
    }
  }
}

TEST_P(DeviceNorm, ARowHasTheSameBitsAloneAnywhereAndInPlace) {
  auto one = device(1), three = device(3);
  for (const std::size_t columns : kColumns) {
    const std::size_t rows = columns > 4000 ? 3 : 11;
    const auto in = random(rows * columns);
    const Weights weights{random(columns), random(columns), DType::BF16, true, 1.0f};
    for (const NormKind kind : {NormKind::Rms, NormKind::Layer}) {
      const auto all = run(one, kind, in, weights);
      EXPECT_TRUE(same_bits(run(three, kind, in, weights), all)) << columns << ", other threads";
      EXPECT_TRUE(same_bits(run(one, kind, in, weights, 0, true), all)) << columns << ", in place";
      for (const std::size_t row : {std::size_t{0}, std::size_t{1}, rows - 1}) {
        const auto alone = part(in, row * columns, columns);
        const auto expected = part(all, row * columns, columns);
        EXPECT_TRUE(same_bits(run(one, kind, alone, weights), expected)) << columns << ", alone";
        EXPECT_TRUE(same_bits(run(one, kind, alone, weights, 4), expected))
            << columns << ", misaligned";
      }
    }
  }
}

// A unit's parameter is cut among ranks, whose chunks lie apart.
TEST_P(DeviceNorm, WeightsInBlocksHaveTheBitsOfWeightsInOnePiece) {
  auto device = this->device();
  for (const std::size_t columns : {17, 576, 1030}) {
    const auto in = random(5 * columns);
    for (const DType dtype : dtypes) {
      Weights weights{random(columns), random(columns), dtype, true, 1.0f};
      const auto expected = run(device, NormKind::Layer, in, weights);
      const auto weight = stored(weights.weight, dtype), bias = stored(weights.bias, dtype);
      for (const std::size_t block : {std::size_t{1}, std::size_t{7}, columns / 2, columns - 1}) {
        const BlocksOfRows weight_apart(device, weight, bytes_of(dtype, 1), block);
        const BlocksOfRows bias_apart(device, bias, bytes_of(dtype, 1), block);
        const auto rows = device.put(in);
        device->norm(NormKind::Layer, rows.get(),
                     {weight_apart.blocks, bias_apart.blocks, dtype, 1.0f}, 1e-5f, rows.get(), 5,
                     columns);
        EXPECT_TRUE(same_bits(device.get(rows), expected))
            << name(dtype) << ", " << columns << " columns, blocks of " << block;
      }
    }
  }
}

// Each head of a row has weights of its own, which ranks cut anywhere.
TEST_P(DeviceNorm, RowsWithSetsOfWeightsInTurnsHaveTheBitsOfEachSetAlone) {
  auto device = this->device();
  constexpr std::size_t kSets = 3, kRows = 4 * kSets;
  for (const std::size_t columns : {std::size_t{8}, std::size_t{15}, std::size_t{128}}) {
    const auto in = random(kRows * columns);
    for (const DType dtype : dtypes) {
      Weights all{random(kSets * columns), random(kSets * columns), dtype, true, 1.0f};
      std::vector<float> expected;
      for (std::size_t row = 0; row < kRows; ++row) {
        const std::size_t first = row % kSets * columns;
        const Weights own{part(all.weight, first, columns), part(all.bias, first, columns), dtype,
                          true, 1.0f};
        const auto alone = run(device, NormKind::Layer, part(in, row * columns, columns), own);
        expected.insert(expected.end(), alone.begin(), alone.end());
      }
      const auto weight = stored(all.weight, dtype), bias = stored(all.bias, dtype);
      for (const std::size_t block : {std::size_t{1}, columns - 1, columns, kSets * columns}) {
        const BlocksOfRows weight_apart(device, weight, bytes_of(dtype, 1), block);
        const BlocksOfRows bias_apart(device, bias, bytes_of(dtype, 1), block);
        const auto rows = device.put(in);
        device->norm(NormKind::Layer, rows.get(),
                     {weight_apart.blocks, bias_apart.blocks, dtype, 1.0f, kSets}, 1e-5f,
                     rows.get(), kRows, columns);
        EXPECT_TRUE(same_bits(device.get(rows), expected))
            << name(dtype) << ", " << columns << " columns, blocks of " << block;
      }
    }
  }
}

}  // namespace
}  // namespace initrt::test
