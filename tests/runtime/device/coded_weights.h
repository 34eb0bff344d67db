// Weights in every format of codes, and the numbers that they stand for.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "runtime/convert/decode.h"
#include "runtime/convert/four_bit.h"
#include "runtime/convert/scale_codes.h"
#include "runtime/device/ops.h"
#include "tests/runtime/device/numbers.h"

namespace initrt::test {

/// Those that a device decodes to numbers: all but Int8.
inline constexpr WeightFormat kDecodedFormats[] = {
    WeightFormat::Nf4,  WeightFormat::Fp4,  WeightFormat::Nf4Dq, WeightFormat::Fp4Dq,
    WeightFormat::Q4_0, WeightFormat::Q4_1, WeightFormat::Q8_0,  WeightFormat::Q4_K,
    WeightFormat::Q5_K, WeightFormat::Q6_K};

/// Columns that a row's blocks are whole for.
inline std::size_t block_columns(WeightFormat format) {
  return info(dtype_of(format, DType::F32)).block_elements;
}

/// A matrix [rows, columns] in a format, dense, in the host's memory.
struct CodedMatrix {
  WeightFormat format = WeightFormat::Plain;
  std::size_t columns = 0, rows = 0;
  std::vector<std::byte> codes, scales;

  [[nodiscard]] std::size_t row_bytes() const {
    return initrt::row_bytes(format, DType::F32, columns);
  }
  [[nodiscard]] std::size_t scale_row_bytes() const {
    return initrt::scale_row_bytes(format, columns);
  }
  [[nodiscard]] float scale(std::size_t row, std::size_t index) const {
    float value;
    std::memcpy(&value, scales.data() + row * scale_row_bytes() + index * 4, 4);
    return value;
  }
  /// Of a format of four bits.
  [[nodiscard]] std::vector<float> row_scales(std::size_t row) const {
    std::vector<float> values(coded_scale_row(columns).scales);
    if (has_coded_scales(format)) {
      decode_scales(scales.data() + row * scale_row_bytes(), columns, values.data());
    } else {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = scale(row, i);
    }
    return values;
  }
};

/// Where the halves of a block are.
inline std::vector<std::size_t> half_offsets(WeightFormat format) {
  switch (format) {
    case WeightFormat::Q4_0:
    case WeightFormat::Q8_0:
      return {0};
    case WeightFormat::Q6_K:
      return {208};
    default:
      return {0, 2};  // Q4_1, Q4_K, Q5_K
  }
}

/// Scales of any codes, beside numbers of about 1/100.
inline std::vector<std::byte> random_coded_scales(Random& random, std::size_t columns,
                                                  std::size_t rows) {
  const CodedScaleRow places = coded_scale_row(columns);
  std::vector<std::byte> bytes = random.random_bytes(rows * places.bytes());
  const auto offset = random.random(1, 0.01f);
  for (std::size_t row = 0; row < rows; ++row) {
    std::byte* const out = bytes.data() + row * places.bytes();
    const auto magnitudes = random.random(places.magnitudes, 0.01f);
    std::memcpy(out, offset.data(), sizeof(float));
    out[CodedScaleRow::kPhase] = static_cast<std::byte>(row * places.scales % kScaleBlock);
    std::memcpy(out + places.magnitudes_at(), magnitudes.data(), magnitudes.size() * sizeof(float));
  }
  return bytes;
}

/// Random codes with scales of about 1/100; some scales are 0 or negative.
inline CodedMatrix random_codes(Random& random, WeightFormat format, std::size_t columns,
                                std::size_t rows) {
  CodedMatrix matrix{format, columns, rows, {}, {}};
  matrix.codes = random.random_bytes(rows * matrix.row_bytes());
  if (has_coded_scales(format)) {
    matrix.scales = random_coded_scales(random, columns, rows);
    return matrix;
  }
  auto scales = random.random(rows * matrix.scale_row_bytes() / 4, 0.01f);
  if (scales.size() > 5) scales[5] = 0.0f;
  if (!scales.empty()) {
    matrix.scales.resize(scales.size() * 4);
    std::memcpy(matrix.scales.data(), scales.data(), matrix.scales.size());
    return matrix;
  }
  const std::size_t block_bytes = info(dtype_of(format, DType::F32)).block_bytes;
  for (std::size_t block = 0; block < matrix.codes.size(); block += block_bytes) {
    for (const std::size_t offset : half_offsets(format)) {
      const float value = random.random(1, 0.01f)[0];
      const std::uint16_t half =
          encode(rounded(block == 2 * block_bytes ? 0.0f : value, DType::F16), DType::F16);
      std::memcpy(matrix.codes.data() + block + offset, &half, sizeof half);
    }
  }
  return matrix;
}

/// The same of Int8, whose codes are of [-127, 127].
inline CodedMatrix random_int8_codes(Random& random, std::size_t columns, std::size_t rows) {
  CodedMatrix matrix = random_codes(random, WeightFormat::Int8, columns, rows);
  std::ranges::replace(matrix.codes, std::byte{0x80}, std::byte{0x81});
  return matrix;
}

template <DType Type>
void decode_row(const std::byte* codes, std::size_t columns, float* out) {
  for (std::size_t k = 0; k < columns; k += info(Type).block_elements) {
    decode::block<Type>(codes + k / info(Type).block_elements * info(Type).block_bytes, out + k);
  }
}

/// The numbers that a row stands for, before they are rounded.
inline std::vector<float> decoded_row(const CodedMatrix& matrix, std::size_t row) {
  std::vector<float> values(matrix.columns);
  const std::byte* codes = matrix.codes.data() + row * matrix.row_bytes();
  switch (matrix.format) {
    case WeightFormat::Nf4:
    case WeightFormat::Fp4:
    case WeightFormat::Nf4Dq:
    case WeightFormat::Fp4Dq: {
      const bool nf4 = with_float_scales(matrix.format) == WeightFormat::Nf4;
      const auto& table = nf4 ? kNf4Values : kFp4Values;
      const std::vector<float> scales = matrix.row_scales(row);
      for (std::size_t k = 0; k < matrix.columns; ++k) {
        const auto both = static_cast<unsigned>(codes[k / 2]);
        values[k] = table.at(k % 2 == 0 ? both >> 4 : both & 15) * scales[k / 64];
      }
      break;
    }
    case WeightFormat::Q4_0:
      decode_row<DType::Q4_0>(codes, matrix.columns, values.data());
      break;
    case WeightFormat::Q4_1:
      decode_row<DType::Q4_1>(codes, matrix.columns, values.data());
      break;
    case WeightFormat::Q8_0:
      decode_row<DType::Q8_0>(codes, matrix.columns, values.data());
      break;
    case WeightFormat::Q4_K:
      decode_row<DType::Q4_K>(codes, matrix.columns, values.data());
      break;
    case WeightFormat::Q5_K:
      decode_row<DType::Q5_K>(codes, matrix.columns, values.data());
      break;
    case WeightFormat::Q6_K:
      decode_row<DType::Q6_K>(codes, matrix.columns, values.data());
      break;
    default:
      ADD_FAILURE() << name(matrix.format) << " is not decoded";
  }
  return values;
}

inline std::vector<float> decoded(const CodedMatrix& matrix) {
  std::vector<float> values;
  for (std::size_t row = 0; row < matrix.rows; ++row) {
    const auto of_row = decoded_row(matrix, row);
    values.insert(values.end(), of_row.begin(), of_row.end());
  }
  return values;
}

/// Rows in blocks that lie apart, with gaps that hold no numbers.
struct HostBlocks {
  HostBlocks(const std::vector<std::byte>& dense, std::size_t row_bytes, std::size_t block,
             std::size_t stride) {
    const std::size_t rows = row_bytes == 0 ? 0 : dense.size() / row_bytes;
    bytes.assign((rows + block - 1) / block * stride, std::byte{0xff});
    for (std::size_t row = 0; row < rows; ++row) {
      std::memcpy(bytes.data() + row / block * stride + row % block * row_bytes,
                  dense.data() + row * row_bytes, row_bytes);
    }
    if (!bytes.empty()) blocks = {bytes.data(), block, stride};
  }
  std::vector<std::byte> bytes;
  RowBlocks blocks;
};

}  // namespace initrt::test
