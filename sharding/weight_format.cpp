#include "sharding/weight_format.h"

#include <array>
#include <numeric>

#include "sharding/checked.h"

namespace initrt {

std::string_view name(WeightFormat format) {
  constexpr std::array<std::string_view, kWeightFormats> kNames = {
      "plain", "int8", "nf4",  "fp4",  "nf4-dq", "fp4-dq", "Q4_0",
      "Q4_1",  "Q8_0", "Q4_K", "Q5_K", "Q6_K",   "float32"};
  return kNames.at(static_cast<std::size_t>(format));
}

std::optional<WeightFormat> stored_format(DType dtype) {
  switch (dtype) {
    case DType::Q4_0:
      return WeightFormat::Q4_0;
    case DType::Q4_1:
      return WeightFormat::Q4_1;
    case DType::Q8_0:
      return WeightFormat::Q8_0;
    case DType::Q4_K:
      return WeightFormat::Q4_K;
    case DType::Q5_K:
      return WeightFormat::Q5_K;
    case DType::Q6_K:
      return WeightFormat::Q6_K;
    default:
      return std::nullopt;
  }
}

DType dtype_of(WeightFormat format, DType precision) {
  switch (format) {
    case WeightFormat::Plain:
      return precision;
    case WeightFormat::Int8:
      return DType::I8;
    case WeightFormat::Nf4:
    case WeightFormat::Fp4:
    case WeightFormat::Nf4Dq:
    case WeightFormat::Fp4Dq:
      return DType::U8;
    case WeightFormat::Q4_0:
      return DType::Q4_0;
    case WeightFormat::Q4_1:
      return DType::Q4_1;
    case WeightFormat::Q8_0:
      return DType::Q8_0;
    case WeightFormat::Q4_K:
      return DType::Q4_K;
    case WeightFormat::Q5_K:
      return DType::Q5_K;
    case WeightFormat::Q6_K:
      return DType::Q6_K;
    case WeightFormat::Float32:
      return DType::F32;
  }
  return precision;
}

std::uint64_t row_bytes(WeightFormat format, DType precision, std::uint64_t columns) {
  if (dtype_of(format, precision) == DType::U8) return divide_up(columns, 2);
  return bytes_of(dtype_of(format, precision), columns);
}

std::uint64_t scale_row_bytes(WeightFormat format, std::uint64_t columns) {
  switch (format) {
    case WeightFormat::Int8:
      return sizeof(float);
    case WeightFormat::Nf4:
    case WeightFormat::Fp4:
      return checked_product("scales", {divide_up(columns, kFourBitBlock), sizeof(float)});
    case WeightFormat::Nf4Dq:
    case WeightFormat::Fp4Dq:
      return coded_scale_row(columns).bytes();
    default:
      return 0;
  }
}

std::uint64_t column_step(WeightFormat format) {
  switch (with_float_scales(format)) {
    case WeightFormat::Plain:
    case WeightFormat::Float32:
      return 1;
    case WeightFormat::Nf4:
    case WeightFormat::Fp4:
      return kFourBitBlock;
    default:  // a scale of the whole row; or GGUF's blocks, which are held as they are stored
      return 0;
  }
}

WeightFormat with_float_scales(WeightFormat format) {
  if (format == WeightFormat::Nf4Dq) return WeightFormat::Nf4;
  return format == WeightFormat::Fp4Dq ? WeightFormat::Fp4 : format;
}

CodedScaleRow coded_scale_row(std::uint64_t columns) {
  CodedScaleRow row;
  row.scales = divide_up(columns, kFourBitBlock);
  // The most blocks that a row's scales lie in: rows begin at multiples of this in their first one.
  const std::uint64_t step = std::gcd(row.scales, kScaleBlock);
  row.magnitudes = row.scales == 0 ? 0 : divide_up(kScaleBlock - step + row.scales, kScaleBlock);
  return row;
}

}  // namespace initrt
