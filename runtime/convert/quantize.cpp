#include "runtime/convert/quantize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/instruction_sets.h"
#include "runtime/convert/quantize_kernels.h"
#include "runtime/convert/quantize_row.h"
#include "runtime/convert/scale_codes.h"
#include "sharding/checked.h"
#include "sharding/error.h"

namespace initrt {
namespace {

template <DType From, WeightFormat Format>
INITRT_INLINE bool quantize_row(const std::byte* in, std::uint64_t columns, std::byte* codes,
                                std::byte* scales) {
  if constexpr (Format == WeightFormat::Int8) {
    return quantize::int8_row<From>(in, columns, codes, scales);
  } else {
    return quantize::four_bit_row<From, Format>(in, columns, codes, scales);
  }
}

template <DType From, WeightFormat Format>
bool portable(const std::byte* in, std::uint64_t columns, std::byte* codes, std::byte* scales) {
  return quantize_row<From, Format>(in, columns, codes, scales);
}

#if defined(__x86_64__)
template <DType From, WeightFormat Format>
[[gnu::target("avx2")]] bool avx2(const std::byte* in, std::uint64_t columns, std::byte* codes,
                                  std::byte* scales) {
  return quantize_row<From, Format>(in, columns, codes, scales);
}

template <DType From, WeightFormat Format>
[[gnu::target(INITRT_AVX512)]] bool avx512(const std::byte* in, std::uint64_t columns,
                                           std::byte* codes, std::byte* scales) {
  return quantize_row<From, Format>(in, columns, codes, scales);
}
#endif

template <DType From, WeightFormat Format>
QuantizeRow choose_set(QuantizeSet set) {
#if defined(__x86_64__)
  if (set == QuantizeSet::Avx512) return avx512<From, Format>;
  if (set == QuantizeSet::Avx2) return avx2<From, Format>;
#endif
  return set == QuantizeSet::Portable ? portable<From, Format> : nullptr;
}

template <WeightFormat Format>
QuantizeRow choose_from(DType from, QuantizeSet set) {
  switch (from) {
    case DType::F32:
      return choose_set<DType::F32, Format>(set);
    case DType::BF16:
      return choose_set<DType::BF16, Format>(set);
    case DType::F16:
      return choose_set<DType::F16, Format>(set);
    default:
      return nullptr;
  }
}

QuantizeSet best_set() {
  for (const QuantizeSet set : kQuantizeSets) {
    if (supported(set)) return set;
  }
  return QuantizeSet::Portable;
}

/// Says which element of a row is not finite.
[[noreturn]] void fail_at(WeightFormat format, std::span<const std::byte> row, DType from,
                          std::uint64_t number, std::uint64_t first_column) {
  const std::uint64_t bytes = info(from).block_bytes;
  std::vector<float> values(row.size() / bytes);
  convert(row, from, 0, values.size(), reinterpret_cast<std::byte*>(values.data()), DType::F32);
  const auto bad = std::ranges::find_if_not(values, [](float v) { return std::isfinite(v); });
  const std::uint64_t column = first_column + static_cast<std::uint64_t>(bad - values.begin());
  fail("row {}, column {} is {}: {} needs finite numbers", number, column, *bad, name(format));
}

void dequantize_int8(const std::byte* codes, float scale, std::span<float> out) {
  // Two roundings, as in torch.
  for (std::uint64_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(decode::load<std::int8_t>(codes + i)) * scale * (1.0f / 127);
  }
}

void dequantize_four_bit(const std::array<float, 16>& values, const std::byte* codes,
                         const std::byte* scales, std::span<float> out) {
  for (std::uint64_t i = 0; i < out.size(); ++i) {
    const std::uint32_t both = decode::u8(codes + i / 2);
    const float scale = decode::load<float>(scales + i / kFourBitBlock * sizeof(float));
    out[i] = values[i % 2 == 0 ? both >> 4 : both & 15] * scale;
  }
}

}  // namespace

bool supported(QuantizeSet set) {
#if defined(__x86_64__)
  if (set == QuantizeSet::Avx512) return has_avx512();
  if (set == QuantizeSet::Avx2) return __builtin_cpu_supports("avx2");
#endif
  return set == QuantizeSet::Portable;
}

QuantizeRow quantize_kernel(WeightFormat format, DType from, QuantizeSet set) {
  switch (format) {
    case WeightFormat::Int8:
      return choose_from<WeightFormat::Int8>(from, set);
    case WeightFormat::Nf4:
      return choose_from<WeightFormat::Nf4>(from, set);
    case WeightFormat::Fp4:
      return choose_from<WeightFormat::Fp4>(from, set);
    default:
      return nullptr;
  }
}

void quantize_rows(WeightFormat format, std::span<const std::byte> in, DType from,
                   std::uint64_t rows, std::uint64_t columns, std::byte* codes, std::byte* scales,
                   std::uint64_t first_row, std::uint64_t first_column) {
  const QuantizeRow kernel = quantize_kernel(format, from, best_set());
  if (kernel == nullptr) fail("no conversion from {} to {}", name(from), name(format));
  const std::uint64_t in_bytes = bytes_of(from, columns);
  const std::uint64_t needed = checked_product("rows to quantize", {rows, in_bytes});
  if (in.size() < needed) {
    fail("cannot quantize {} rows of {} elements of {}: {} bytes given, {} needed", rows, columns,
         name(from), in.size(), needed);
  }
  const std::uint64_t code_bytes = row_bytes(format, from, columns);
  const std::uint64_t scale_bytes = scale_row_bytes(format, columns);
  for (std::uint64_t row = 0; row < rows; ++row) {
    const auto elements = in.subspan(row * in_bytes, in_bytes);
    if (!kernel(elements.data(), columns, codes + row * code_bytes, scales + row * scale_bytes)) {
      fail_at(format, elements, from, first_row + row, first_column);
    }
  }
}

void dequantize_rows(WeightFormat format, const std::byte* codes, const std::byte* scales,
                     std::uint64_t rows, std::uint64_t columns, float* out) {
  const WeightFormat codes_of = with_float_scales(format);
  const bool is_four_bit = codes_of == WeightFormat::Nf4 || codes_of == WeightFormat::Fp4;
  if (format != WeightFormat::Int8 && !is_four_bit) {
    fail("{} has no rows of codes and scales", name(format));
  }
  std::vector<float> floats(has_coded_scales(format) ? coded_scale_row(columns).scales : 0);
  const std::uint64_t code_bytes = row_bytes(format, DType::F32, columns);
  const std::uint64_t scale_bytes = scale_row_bytes(format, columns);
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::span<float> values(out + row * columns, columns);
    if (has_coded_scales(format)) decode_scales(scales, columns, floats.data());
    if (format == WeightFormat::Int8) {
      dequantize_int8(codes, decode::load<float>(scales), values);
    } else {
      dequantize_four_bit(codes_of == WeightFormat::Nf4 ? kNf4Values : kFp4Values, codes,
                          floats.empty() ? scales : std::as_bytes(std::span(floats)).data(),
                          values);
    }
    codes += code_bytes;
    scales += scale_bytes;
  }
}

}  // namespace initrt
