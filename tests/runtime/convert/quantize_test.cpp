// Quantizing rows: equal bits by every instruction set, the choice of codes, odd widths, errors.
#include "runtime/convert/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/four_bit.h"
#include "runtime/convert/quantize_kernels.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;

constexpr WeightFormat kFormats[] = {WeightFormat::Int8, WeightFormat::Nf4, WeightFormat::Fp4};
constexpr DType kDTypes[] = {DType::F32, DType::BF16, DType::F16};
constexpr std::byte kUntouched{0xa5};

std::vector<std::byte> as(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> bytes(bytes_of(dtype, values.size()));
  convert(std::as_bytes(std::span(values)), DType::F32, 0, values.size(), bytes.data(), dtype);
  return bytes;
}

std::vector<float> as_floats(DType dtype, const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / info(dtype).block_bytes);
  convert(bytes, dtype, 0, values.size(), reinterpret_cast<std::byte*>(values.data()), DType::F32);
  return values;
}

std::vector<float> normal(std::uint64_t count, float deviation) {
  std::mt19937 generator(static_cast<std::uint32_t>(count));
  std::normal_distribution<float> distribution(0, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(generator);
  return values;
}

/// Numbers of any exponent, subnormal ones too.
std::vector<std::byte> any_finite(DType dtype, std::uint64_t count) {
  std::mt19937 generator(static_cast<std::uint32_t>(count) + 1);
  std::vector<std::byte> bytes(bytes_of(dtype, count));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(generator());
  std::vector<float> values = as_floats(dtype, bytes);
  for (float& value : values) {
    if (!std::isfinite(value)) value = -0.0f;
  }
  return as(dtype, values);
}

struct Quantized {
  std::vector<std::byte> codes, scales;
  bool operator==(const Quantized&) const = default;
};

/// By the kernel of a set, which must not write beyond its row.
Quantized quantized_by(QuantizeSet set, WeightFormat format, DType from,
                       const std::vector<std::byte>& row, std::uint64_t columns) {
  const std::uint64_t code_bytes = row_bytes(format, from, columns);
  const std::uint64_t scale_bytes = scale_row_bytes(format, columns);
  Quantized got{.codes = std::vector<std::byte>(code_bytes + 64, kUntouched),
                .scales = std::vector<std::byte>(scale_bytes + 64, kUntouched)};
  EXPECT_TRUE(
      quantize_kernel(format, from, set)(row.data(), columns, got.codes.data(), got.scales.data()));
  for (std::size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(got.codes[code_bytes + i], kUntouched);
    EXPECT_EQ(got.scales[scale_bytes + i], kUntouched);
  }
  return got;
}

Quantized quantized(WeightFormat format, DType from, const std::vector<std::byte>& in,
                    std::uint64_t rows, std::uint64_t columns) {
  Quantized got{.codes = std::vector<std::byte>(rows * row_bytes(format, from, columns)),
                .scales = std::vector<std::byte>(rows * scale_row_bytes(format, columns))};
  quantize_rows(format, in, from, rows, columns, got.codes.data(), got.scales.data());
  return got;
}

std::vector<float> dequantized(WeightFormat format, const Quantized& from, std::uint64_t rows,
                               std::uint64_t columns) {
  std::vector<float> values(rows * columns);
  dequantize_rows(format, from.codes.data(), from.scales.data(), rows, columns, values.data());
  return values;
}

TEST(Quantize, EveryInstructionSetHasTheSameBits) {
  for (const WeightFormat format : kFormats) {
    for (const DType from : kDTypes) {
      for (const std::uint64_t columns : {1, 2, 7, 31, 63, 64, 65, 127, 192, 1000, 1089}) {
        for (const auto& row : {any_finite(from, columns), as(from, normal(columns, 0.02f))}) {
          const Quantized portable =
              quantized_by(QuantizeSet::Portable, format, from, row, columns);
          for (const QuantizeSet set : kQuantizeSets) {
            if (!supported(set)) continue;
            ASSERT_EQ(quantized_by(set, format, from, row, columns), portable)
                << name(format) << " of " << columns << ' ' << name(from);
          }
        }
      }
    }
  }
}

/// Codes in the order of their values; of Fp4's two zeros torch sorts the first before the second.
constexpr std::uint8_t kNf4Order[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr std::uint8_t kFp4Order[] = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

struct Choice {
  std::span<const std::uint8_t> order;
  std::vector<float> bounds;

  explicit Choice(WeightFormat format)
      : order(format == WeightFormat::Nf4 ? std::span(kNf4Order) : std::span(kFp4Order)) {
    const auto& values = format == WeightFormat::Nf4 ? kNf4Values : kFp4Values;
    for (std::size_t i = 0; i < 15; ++i) {
      bounds.push_back((values[order[i]] + values[order[i + 1]]) / 2);
    }
  }
  /// What torch.bucketize() finds.
  [[nodiscard]] std::uint8_t code(float value) const {
    return order[static_cast<std::size_t>(std::ranges::lower_bound(bounds, value) -
                                          bounds.begin())];
  }
};

std::uint8_t code_at(const Quantized& row, std::size_t i) {
  const auto both = static_cast<std::uint8_t>(row.codes[i / 2]);
  return i % 2 == 0 ? both >> 4 : both & 15;
}

TEST(Quantize, FourBitCodesAtTheirBoundsAndBesideThem) {
  for (const WeightFormat format : {WeightFormat::Nf4, WeightFormat::Fp4}) {
    const Choice choice(format);
    for (const float absmax : {1.0f, 0.75f, 3.1f, 1.7e-5f, 2e-38f, 3e38f}) {
      for (const float direction : {-2.0f, 0.0f, 2.0f}) {
        // Each bound, and the number before or after it, of a block whose largest is `absmax`.
        std::vector<float> row(64, 0.0f);
        row[63] = absmax;
        for (std::size_t i = 0; i < 15; ++i) {
          const float bound = choice.bounds[i] * absmax;
          row[i] = direction == 0 ? bound : std::nextafter(bound, direction * absmax);
        }
        const Quantized got = quantized(format, DType::F32, as(DType::F32, row), 1, 64);
        const float scale = 1.0f / absmax;
        for (std::size_t i = 0; i < 64; ++i) {
          ASSERT_EQ(code_at(got, i), choice.code(row[i] * scale))
              << name(format) << ' ' << row[i] << " of " << absmax;
        }
      }
    }
  }
}

TEST(Quantize, EveryF16InABlockHasTheCodeOfItsProduct) {
  const Choice nf4(WeightFormat::Nf4);
  const float absmax = 65504.0f, scale = 1.0f / absmax;
  for (std::uint32_t first = 0; first < 0x10000; first += 63) {
    std::vector<std::byte> row(128);
    for (std::uint32_t i = 0; i < 63; ++i) {
      const auto bits = static_cast<std::uint16_t>(first + i);
      if ((bits & 0x7c00) != 0x7c00) std::memcpy(row.data() + i * 2, &bits, 2);
    }
    const std::uint16_t largest = 0x7bff;
    std::memcpy(row.data() + 126, &largest, 2);
    const Quantized got = quantized(WeightFormat::Nf4, DType::F16, row, 1, 64);
    const std::vector<float> values = as_floats(DType::F16, row);
    for (std::size_t i = 0; i < 64; ++i) {
      ASSERT_EQ(code_at(got, i), nf4.code(values[i] * scale)) << values[i];
    }
  }
}

TEST(Quantize, TheLastByteOfAnOddRowHoldsTheCodeOfZero) {
  const std::vector<std::byte> row = as(DType::F32, {-2, 1, 2});
  EXPECT_EQ(quantized(WeightFormat::Nf4, DType::F32, row, 1, 3).codes,
            (std::vector{std::byte{0x0c}, std::byte{0xf7}}));
  EXPECT_EQ(quantized(WeightFormat::Fp4, DType::F32, row, 1, 3).codes,
            (std::vector{std::byte{0xb5}, std::byte{0x30}}));
}

TEST(Quantize, RowsAreDenseAndTheirOwn) {
  constexpr std::uint64_t kRows = 5, kColumns = 97;
  const std::vector<float> values = normal(kRows * kColumns, 1.0f);
  for (const WeightFormat format : kFormats) {
    const Quantized all = quantized(format, DType::BF16, as(DType::BF16, values), kRows, kColumns);
    Quantized apart;
    for (std::uint64_t row = 0; row < kRows; ++row) {
      const std::vector<float> one(
          values.begin() + static_cast<std::ptrdiff_t>(row * kColumns),
          values.begin() + static_cast<std::ptrdiff_t>((row + 1) * kColumns));
      const Quantized got = quantized(format, DType::BF16, as(DType::BF16, one), 1, kColumns);
      apart.codes.insert(apart.codes.end(), got.codes.begin(), got.codes.end());
      apart.scales.insert(apart.scales.end(), got.scales.begin(), got.scales.end());
    }
    EXPECT_EQ(all, apart) << name(format);
  }
}

TEST(Quantize, ZerosStayZeros) {
  const std::vector<float> zeros(2 * 70, 0.0f);
  for (const WeightFormat format : kFormats) {
    for (const DType from : kDTypes) {
      const Quantized got = quantized(format, from, as(from, zeros), 2, 70);
      EXPECT_EQ(dequantized(format, got, 2, 70), zeros) << name(format);
    }
  }
  const Quantized int8 = quantized(WeightFormat::Int8, DType::F32, as(DType::F32, zeros), 2, 70);
  EXPECT_EQ(int8.codes, std::vector(140, std::byte{0}));
  EXPECT_EQ(int8.scales, std::vector(8, std::byte{0}));
}

/// Half of the largest step between two values, of a block's largest magnitude, and what the
/// products are rounded by.
float largest_error(WeightFormat format) {
  if (format == WeightFormat::Int8) return 0.5f / 127 * 1.0001f;
  return format == WeightFormat::Nf4 ? 0.1520f : 0.1667f;
}

TEST(Quantize, ValuesComeBackWithinHalfAStep) {
  constexpr std::uint64_t kRows = 9, kColumns = 200;
  for (const WeightFormat format : kFormats) {
    for (const DType from : kDTypes) {
      const std::vector<std::byte> in = as(from, normal(kRows * kColumns, 0.05f));
      const std::vector<float> values = as_floats(from, in);
      const std::vector<float> back =
          dequantized(format, quantized(format, from, in, kRows, kColumns), kRows, kColumns);
      const std::uint64_t block = format == WeightFormat::Int8 ? kColumns : kFourBitBlock;
      for (std::uint64_t i = 0; i < values.size(); ++i) {
        const std::uint64_t row = i / kColumns * kColumns;
        const std::uint64_t begin = row + (i - row) / block * block;
        const std::uint64_t end = std::min(begin + block, row + kColumns);
        float absmax = 0;
        for (std::uint64_t k = begin; k < end; ++k) absmax = std::max(absmax, std::abs(values[k]));
        ASSERT_LE(std::abs(back[i] - values[i]), largest_error(format) * absmax)
            << name(format) << " of " << name(from) << ", element " << i;
      }
    }
  }
}

TEST(Quantize, NumbersThatAreNotFiniteAreErrors) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  for (const WeightFormat format : kFormats) {
    for (const DType from : kDTypes) {
      for (const float bad : {kInfinity, -kInfinity, kNaN}) {
        for (const std::uint64_t column : {0, 63, 64, 130, 139}) {  // the last block has 12
          std::vector<float> values = normal(3 * 140, 1.0f);
          values[140 + column] = bad;
          const std::vector<std::byte> in = as(from, values);
          EXPECT_EQ(error_of([&] { return quantized(format, from, in, 3, 140); }),
                    fmt::format("row 1, column {} is {}: {} needs finite numbers", column, bad,
                                name(format)));
        }
      }
    }
  }
}

TEST(Quantize, EverySetSeesWhatIsNotFinite) {
  for (const QuantizeSet set : kQuantizeSets) {
    if (!supported(set)) continue;
    for (const WeightFormat format : kFormats) {
      for (const std::uint64_t column : {5, 69}) {
        std::vector<float> values(70, 1.0f);
        values[column] = std::numeric_limits<float>::infinity();
        std::vector<std::byte> codes(70), scales(8);
        EXPECT_FALSE(quantize_kernel(format, DType::F16, set)(as(DType::F16, values).data(), 70,
                                                              codes.data(), scales.data()));
      }
    }
  }
}

TEST(Quantize, WhatCannotBeQuantizedIsAnError) {
  const std::vector<std::byte> in(100);
  std::vector<std::byte> codes(100), scales(100);
  const auto quantize = [&](WeightFormat format, DType from) {
    return error_of([&] { quantize_rows(format, in, from, 3, 10, codes.data(), scales.data()); });
  };
  EXPECT_EQ(quantize(WeightFormat::Int8, DType::F8_E4M3), "no conversion from F8_E4M3 to int8");
  EXPECT_EQ(quantize(WeightFormat::Q4_0, DType::F32), "no conversion from F32 to Q4_0");
  EXPECT_EQ(quantize(WeightFormat::Nf4, DType::F32),
            "cannot quantize 3 rows of 10 elements of F32: 100 bytes given, 120 needed");
  EXPECT_EQ(error_of([&] {
              dequantize_rows(WeightFormat::Plain, codes.data(), scales.data(), 1, 1, nullptr);
            }),
            "plain has no rows of codes and scales");
}

}  // namespace
}  // namespace initrt
