// Rows of quantized weights, from the parts of their tensors that source_boxes() asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/convert/dequantize_parts.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"

namespace initrt {

/// Makes rows of a weight, [rows, columns] in float32, of the boxes that some of them need.
///
/// Scales and zeros are made float32 first, and each result is (code - zero) * scale, with one
/// rounding where the product is not exact. So it has the bits that the library of the format gives
/// where its scales are float32; where they are halves and it multiplies in halves (GPTQModel,
/// AutoAWQ, compressed-tensors), rounding to that dtype gives the library's.
///
/// One is made of many rows where a tensor has them as columns (GPTQ, AWQ), and of some of their
/// columns: what is read of few rows is narrow. Rows can then be made a few at a time.
class Dequantizer {
 public:
  /// @param weight outlives this, as do the boxes
  /// @param boxes what source_boxes(weight, part) names, in its order: row-major, without gaps, of
  ///        any alignment
  /// @throws Error naming the tensor: for a box of another size; scales that are not finite; group
  ///         indices without a group, or in another order than the config says; a shape or a state
  ///         that is another than the weight's
  Dequantizer(const QuantizedWeight& weight, const WeightPart& part,
              std::span<const std::span<const std::byte>> boxes);
  /// Of whole rows.
  Dequantizer(const QuantizedWeight& weight, std::uint64_t first, std::uint64_t rows,
              std::span<const std::span<const std::byte>> boxes)
      : Dequantizer(weight, whole_rows(weight, first, rows), boxes) {}

  /// @param first a row of the weight
  /// @param out [rows, part.columns] floats
  /// @throws Error for rows that are not among those of the boxes
  void make(std::uint64_t first, std::uint64_t rows, float* out) const;

 private:
  void decode_row(std::uint64_t row, float* out) const;
  void decode_columns(std::uint64_t first, std::uint64_t rows, float* out) const;

  const QuantizedWeight& weight_;
  const WeightPart part_;
  DequantizeParts parts_;
};

/// The same for all rows of the boxes at once, as a whole.
void dequantize_rows(const QuantizedWeight& weight, std::uint64_t first, std::uint64_t rows,
                     std::span<const std::span<const std::byte>> boxes, float* out);

}  // namespace initrt
