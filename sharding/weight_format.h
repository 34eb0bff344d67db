// How the rows of a weight are held: as numbers of the precision, or quantized, as codes with
// scales beside them or inside. A row of a weight is a row of codes and a row of scales, so that
// ranks own both alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "sharding/dtype.h"

namespace initrt {

enum class WeightFormat : std::uint8_t {
  Plain,  ///< numbers of the precision's dtype
  /// LLM.int8() (arXiv:2208.07339): a signed byte each, and the row's largest magnitude as a
  /// float32: value = code * scale / 127.
  Int8,
  /// Four bits each, the first of two in a byte's upper half: entries of a table, times the largest
  /// magnitude of their 64 elements as a float32 (QLoRA, arXiv:2305.14314; as bitsandbytes has
  /// them). Blocks begin anew with each row; a row's last block may be shorter.
  Nf4,
  Fp4,
  /// The same codes, and the largest magnitudes themselves as codes of a byte (CodedScaleRow).
  Nf4Dq,
  Fp4Dq,
  Q4_0,  ///< from here to Q6_K GGUF's blocks, scales inside
  Q4_1,
  Q8_0,
  Q4_K,
  Q5_K,
  Q6_K,
  Float32,  ///< numbers of float32, whatever the precision: Tensor::float32
};
inline constexpr std::size_t kWeightFormats = 13;

/// Elements that share a scale of Nf4 and Fp4.
inline constexpr std::uint64_t kFourBitBlock = 64;

[[nodiscard]] std::string_view name(WeightFormat format);

/// The format that holds blocks of a dtype as they are in a GGUF file, if there is one.
[[nodiscard]] std::optional<WeightFormat> stored_format(DType dtype);

/// What the codes are, or for Plain the numbers.
[[nodiscard]] DType dtype_of(WeightFormat format, DType precision);

/// Bytes of a row of codes, and of a row of scales (0 where they are inside).
/// @param precision of Plain @throws Error where columns are no multiple of a GGUF block
[[nodiscard]] std::uint64_t row_bytes(WeightFormat format, DType precision, std::uint64_t columns);
[[nodiscard]] std::uint64_t scale_row_bytes(WeightFormat format, std::uint64_t columns);

/// Rows may be made in parts that begin at multiples of so many columns, each with codes and scales
/// of its own; 0: only as a whole. Of coded scales what they are made of counts.
[[nodiscard]] std::uint64_t column_step(WeightFormat format);

/// Whether scales are codes, which all scales of a matrix are known for.
[[nodiscard]] constexpr bool has_coded_scales(WeightFormat format) {
  return format == WeightFormat::Nf4Dq || format == WeightFormat::Fp4Dq;
}
/// The format with scales that are not coded yet; others as they are.
[[nodiscard]] WeightFormat with_float_scales(WeightFormat format);

/// Scales that share a magnitude where they are codes, counted through a matrix.
inline constexpr std::uint64_t kScaleBlock = 256;

/// How a row's scales lie where they are codes, so that a row needs nothing else of its matrix:
///   float32 offset: the mean of all the matrix's scales
///   byte phase: how many scales of the first block of 256 come before the row's
///   byte codes[scales]: scale = number of the code (scale_codes.h) * magnitude + offset
///   float32 magnitudes[]: of the blocks that the row's scales lie in, the largest one less the
///     offset; as many as any row may need, the rest are 0
struct CodedScaleRow {
  static constexpr std::uint64_t kPhase = sizeof(float), kCodes = kPhase + 1;
  std::uint64_t scales = 0, magnitudes = 0;

  [[nodiscard]] constexpr std::uint64_t magnitudes_at() const { return kCodes + scales; }
  [[nodiscard]] constexpr std::uint64_t bytes() const {
    return magnitudes_at() + magnitudes * sizeof(float);
  }
};
[[nodiscard]] CodedScaleRow coded_scale_row(std::uint64_t columns);

/// Some formats.
class WeightFormats {
 public:
  void add(WeightFormat format) { bits_ |= 1u << static_cast<unsigned>(format); }
  [[nodiscard]] bool has(WeightFormat format) const {
    return (bits_ >> static_cast<unsigned>(format) & 1u) != 0;
  }
  [[nodiscard]] bool has_coded_scales() const {
    return has(WeightFormat::Nf4Dq) || has(WeightFormat::Fp4Dq);
  }
  /// Whether any is quantized.
  [[nodiscard]] bool quantized() const {
    WeightFormats numbers;
    numbers.add(WeightFormat::Plain);
    numbers.add(WeightFormat::Float32);
    return (bits_ & ~numbers.bits_) != 0;
  }

 private:
  std::uint32_t bits_ = 0;
};

}  // namespace initrt
