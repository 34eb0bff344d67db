// Products of every device with weights that it decodes: near the sums in double of what the codes
// stand for, with the same bits for a row whatever rows come with it and whatever blocks the
// weights lie in.
#include <gmock/gmock.h>

#include <optional>

#include "sharding/error.h"
#include "tests/runtime/device/device_coded.h"

namespace initrt::test {
namespace {

class DeviceCoded : public DeviceCodedTest {};
INSTANTIATE_TEST_SUITE_P(, DeviceCoded, testing::ValuesIn(all_devices()), device_name);

TEST_P(DeviceCoded, AgreesWithSumsInDoubleAndAddsTheBiasLast) {
  auto device = this->device();
  const std::size_t rows = 3, outputs = 7;
  std::size_t turn = 0;
  for (const WeightFormat format : kDecodedFormats) {
    for (const std::size_t k : coded_widths(format)) {
      const CodedMatrix matrix = random_codes(*this, format, k, outputs);
      const auto values = decoded(matrix);
      const auto in = random(rows * k);
      for (const DType dtype : dtypes_in_turn(turn++)) {
        CodedThere there(device, matrix, dtype);
        const auto sums = run(device, there.weights, in);
        auto bias = random(outputs);
        const auto bias_there = device.put(stored(bias, dtype));
        there.weights.bias = bias_there.get();
        const auto out = run(device, there.weights, in);
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

// Rows of which one input is 1: a product is a decoded weight.
TEST_P(DeviceCoded, EveryNumberIsWhatItsCodeStandsFor) {
  auto device = this->device();
  const std::size_t outputs = 21;
  std::size_t turn = 0;
  for (const WeightFormat format : kDecodedFormats) {
    const std::size_t k = block_columns(format) == 1 ? 2131 : 2048 + 3 * block_columns(format);
    const CodedMatrix matrix = random_codes(*this, format, k, outputs);
    const auto values = decoded(matrix);
    std::vector<std::size_t> places = {0, 1, 31, 32, 1023, 1024, k - 1};
    while (places.size() < 150) places.push_back(below(k));
    std::vector<float> in(places.size() * k);
    for (std::size_t row = 0; row < places.size(); ++row) in[row * k + places[row]] = 1.0f;
    for (const DType dtype : dtypes_in_turn(turn++)) {
      const auto out = run(device, matrix, dtype, in);
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t place = places[i / outputs];
        ASSERT_EQ(out[i], rounded(values[i % outputs * k + place], dtype))
            << name(format) << " " << name(dtype) << ", column " << place;
      }
    }
  }
}

TEST_P(DeviceCoded, EveryCodeHasItsNumber) {
  auto device = this->device();
  for (const WeightFormat format : {WeightFormat::Nf4, WeightFormat::Fp4}) {
    CodedMatrix matrix{format, 1, 16, {}, {}};
    for (unsigned code = 0; code < 16; ++code) {
      matrix.codes.push_back(static_cast<std::byte>(code << 4 | (code ^ 15)));
    }
    const std::vector<float> scales(16, 1.0f);
    matrix.scales.resize(64);
    std::memcpy(matrix.scales.data(), scales.data(), 64);
    const auto& table = format == WeightFormat::Nf4 ? kNf4Values : kFp4Values;
    EXPECT_THAT(run(device, matrix, DType::F32, {1.0f}), testing::ElementsAreArray(table))
        << name(format);
  }
}

// In rows of 15 scales, of which one lies in two blocks of 256.
TEST_P(DeviceCoded, EveryCodeOfAScaleHasItsNumber) {
  auto device = this->device();
  constexpr std::size_t kScales = 15, kOutputs = 18, kColumns = kScales * 64;
  std::vector<float> in(kScales * kColumns);
  for (std::size_t i = 0; i < kScales; ++i) in[i * kColumns + i * 64] = 1.0f;
  for (const WeightFormat format : {WeightFormat::Nf4Dq, WeightFormat::Fp4Dq}) {
    CodedMatrix matrix = random_codes(*this, format, kColumns, kOutputs);
    const auto ones = format == WeightFormat::Nf4Dq ? std::byte{0xff} : std::byte{0x33};
    std::ranges::fill(matrix.codes, ones);
    for (std::size_t i = 0; i < kOutputs * kScales; ++i) {
      matrix.scales[i / kScales * matrix.scale_row_bytes() + CodedScaleRow::kCodes + i % kScales] =
          static_cast<std::byte>(i);
    }
    const auto out = run(device, matrix, DType::F32, in);
    for (std::size_t output = 0; output < kOutputs; ++output) {
      const auto scales = matrix.row_scales(output);
      for (std::size_t i = 0; i < kScales; ++i) {
        ASSERT_EQ(out[i * kOutputs + output], scales[i])
            << name(format) << ", code " << (output * kScales + i) % 256;
      }
    }
  }
}

TEST_P(DeviceCoded, ARowHasTheSameBitsInAnyCompanyAndStrideLeavesTheRestAlone) {
  auto device = this->device();
  constexpr std::size_t kRows = 37, kOutputs = 9, kStride = 12;
  std::size_t turn = 0;
  for (const WeightFormat format : kDecodedFormats) {
    // One segment of a GPU's, and several, which warps share.
    for (const std::size_t segments : {0, 4}) {
      const std::size_t block = block_columns(format);
      const std::size_t k = segments * 1024 + (block == 1 ? 101 : block);
      const CodedMatrix matrix = random_codes(*this, format, k, kOutputs);
      const auto in = random(kRows * k);
      for (const DType dtype : dtypes_in_turn(turn++)) {
        const CodedThere there(device, matrix, dtype);
        const auto all = run(device, there.weights, in, kStride);
        for (std::size_t i = 0; i < all.size(); ++i) {
          if (i % kStride >= kOutputs) {
            ASSERT_EQ(all[i], 7.0f) << i;
          }
        }
        for (const std::size_t rows : {1, 2, 3, 4, 5, 8, 9, 16, 17}) {
          const std::size_t first = below(kRows - rows + 1);
          EXPECT_TRUE(same_bits(run(device, there.weights, part(in, first * k, rows * k), kStride),
                                part(all, first * kStride, rows * kStride)))
              << name(format) << " " << name(dtype) << ", " << k << " columns, " << rows
              << " rows from " << first;
        }
      }
    }
  }
}

// A unit's parameter is cut among ranks, whose chunks lie apart.
TEST_P(DeviceCoded, WeightsInBlocksHaveTheBitsOfWeightsInOnePiece) {
  auto device = this->device();
  const std::size_t rows = 5, outputs = 53;
  std::size_t turn = 0;
  for (const WeightFormat format : kDecodedFormats) {
    const std::size_t k = block_columns(format) == 1 ? 131 : block_columns(format);
    const CodedMatrix matrix = random_codes(*this, format, k, outputs);
    const auto in = random(rows * k);
    for (const DType dtype : dtypes_in_turn(turn++)) {
      CodedThere there(device, matrix, dtype);
      auto bias = random(outputs);
      const auto bias_dense = stored(bias, dtype);
      const auto bias_there = device.put(bias_dense);
      there.weights.bias = bias_there.get();
      const auto expected = run(device, there.weights, in);
      for (const std::size_t block : {1, 7, 16, 52, 53}) {
        const BlocksOfRows codes(device, matrix.codes, matrix.row_bytes(), block);
        const BlocksOfRows biases(device, bias_dense, bytes_of(dtype, 1), block);
        LinearWeights cut = there.weights;
        cut.weight = codes.blocks;
        cut.bias = biases.blocks;
        std::optional<BlocksOfRows> scales;
        if (cut.scales) {
          scales.emplace(device, matrix.scales, matrix.scale_row_bytes(), block);
          cut.scales = scales->blocks;
        }
        EXPECT_TRUE(same_bits(run(device, cut, in), expected))
            << name(format) << " " << name(dtype) << ", blocks of " << block;
      }
    }
  }
}

TEST_P(DeviceCoded, NanAndInfinityStayInTheirRow) {
  auto device = this->device();
  const std::size_t rows = 7, outputs = 6;
  std::size_t turn = 0;
  for (const WeightFormat format : kDecodedFormats) {
    const std::size_t k = block_columns(format) == 1 ? 70 : block_columns(format);
    const CodedMatrix matrix = random_codes(*this, format, k, outputs);
    for (const DType dtype : dtypes_in_turn(turn++)) {
      auto in = random(rows * k);
      const auto clean = run(device, matrix, dtype, in);
      in[2 * k + k - 1] = std::numeric_limits<float>::quiet_NaN();
      in[4 * k] = std::numeric_limits<float>::infinity();
      const auto out = run(device, matrix, dtype, in);
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

// A scale of a file that is no number is not hidden.
TEST_P(DeviceCoded, ScalesThatAreNoNumbersMakeProductsThatAreNone) {
  auto device = this->device();
  for (const WeightFormat format : kDecodedFormats) {
    if (block_columns(format) == 1) continue;
    CodedMatrix matrix = random_codes(*this, format, 256, 2);
    const std::uint16_t nan = 0x7e00;
    std::memcpy(matrix.codes.data() + half_offsets(format)[0], &nan, sizeof nan);
    for (const DType dtype : dtypes) {
      const auto out = run(device, matrix, dtype, random(256));
      EXPECT_TRUE(std::isnan(out[0])) << name(format) << " " << name(dtype);
      EXPECT_TRUE(std::isfinite(out[1])) << name(format) << " " << name(dtype);
    }
  }
}

TEST_P(DeviceCoded, ProductsOfTheSameInputsHaveTheBitsOfEachByItself) {
  auto device = this->device();
  const std::size_t rows = 5, k = 256;
  const auto in = random(rows * k);
  for (const DType dtype : dtypes) {
    std::vector<CodedThere> matrices;
    for (const WeightFormat format : {WeightFormat::Q4_K, WeightFormat::Int8, WeightFormat::Int8,
                                      WeightFormat::Nf4, WeightFormat::Fp4Dq}) {
      matrices.emplace_back(device, random_codes(*this, format, k, 20), dtype);
    }
    matrices[1].weights.outlier_threshold = 1.5f;  // of the first Int8 alone
    auto values = random(20 * k);
    const auto numbers = device.put(stored(values, dtype));
    LinearWeights plain = matrices[0].weights;
    plain.format = WeightFormat::Plain;
    plain.weight = numbers.get();
    std::vector<LinearWeights> all = {plain};
    for (const CodedThere& matrix : matrices) all.push_back(matrix.weights);
    all.push_back(plain);
    std::vector<std::vector<float>> expected;
    std::vector<Placed<float>> outs;
    std::vector<LinearProduct> products;
    const auto in_there = device.put_rows(in, k);
    for (const LinearWeights& weights : all) {
      make_room(device, weights, rows);
      outs.push_back(device.put_rows(rows, 20));
      device->linear(in_there.get(), weights, outs.back().get(), rows, 20);
      expected.push_back(device.get(outs.back()));
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      outs[i] = device.put_rows(rows, 20);
      products.push_back({all[i], outs[i].get(), 20});
    }
    device->linear_of_each(in_there.get(), products, rows);
    for (std::size_t i = 0; i < outs.size(); ++i) {
      EXPECT_TRUE(same_bits(device.get(outs[i]), expected[i])) << name(dtype) << " " << i;
    }
  }
}

TEST_P(DeviceCoded, RowsOfATableAreTheNumbersThatTheirCodesStandFor) {
  auto device = this->device();
  std::size_t turn = 0;
  for (const WeightFormat format : kDecodedFormats) {
    const std::size_t block = block_columns(format);
    if (block == 1) continue;
    for (const std::size_t k : {block, 3 * block, 1024 + block}) {
      const CodedMatrix matrix = random_codes(*this, format, k, 5);
      const auto values = decoded(matrix);
      const auto codes = device.put(matrix.codes);
      for (const DType dtype : dtypes_in_turn(turn++)) {
        const auto out = device.put(std::vector<float>(values.size()));
        device->decode_rows(codes.get(), format, dtype, out.get(), values.size());
        const auto got = device.get(out);
        for (std::size_t i = 0; i < got.size(); ++i) {
          ASSERT_EQ(got[i], rounded(values[i], dtype)) << name(format) << " " << name(dtype);
        }
      }
    }
  }
}

TEST_P(DeviceCoded, WrongArgumentsAreErrors) {
  auto device = this->device();
  const CodedThere there(device, random_codes(*this, WeightFormat::Nf4, 64, 2), DType::F32);
  const std::vector<float> in(64);
  LinearWeights weights = there.weights;
  weights.scales = {};
  EXPECT_THAT([&] { run(device, weights, in); }, testing::ThrowsMessage<Error>(testing::HasSubstr(
                                                     " linear: nf4 weights without their scales")));
  weights = there.weights;
  weights.format = WeightFormat::Q4_K;
  EXPECT_THROW(run(device, weights, in), Error);           // no whole block
  EXPECT_THROW(run(device, there.weights, in, 1), Error);  // rows over one another
  const auto in_there = device.put(std::vector<float>(128));
  const auto out = device.put(std::vector<float>(2));
  const LinearProduct part{there.weights, out.get(), 2, 64, 128};
  EXPECT_THROW(device->linear_of_each(in_there.get(), std::span(&part, 1), 1), Error);
}

}  // namespace
}  // namespace initrt::test
