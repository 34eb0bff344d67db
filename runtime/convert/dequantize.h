// Rows of quantized weights, from the parts of their tensors that source_boxes() asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sharding/checkpoint/quantized/quantized_weight.h"

namespace initrt {

/// Makes rows [first, first + rows) of a weight, [rows, columns] in float32.
///
/// Scales and zeros are made float32 first, and each result is (code - zero) * scale, with one
/// rounding where the product is not exact. So it has the bits that the library of the format gives
/// where its scales are float32; where they are halves and it multiplies in halves (GPTQModel,
/// AutoAWQ, compressed-tensors), rounding to that dtype gives the library's.
///
/// @param boxes what source_boxes(weight, first, rows) names, in its order: row-major, without
/// gaps;
///        need not be aligned
/// @param out rows * weight.columns floats
/// @throws Error naming the tensor: for a box of another size; scales that are not finite; group
///         indices without a group; a shape or a state that is another than the weight's
void dequantize_rows(const QuantizedWeight& weight, std::uint64_t first, std::uint64_t rows,
                     std::span<const std::span<const std::byte>> boxes, float* out);

}  // namespace initrt
