// What dequantize.cpp makes rows of, apart from codes: scales, zeros and groups as numbers,
// checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sharding/checkpoint/quantized/quantized_weight.h"

namespace initrt {

/// What a part of a weight is made of.
struct DequantizeParts {
  std::span<const std::byte> codes;  ///< as they lie in their box
  /// [rows of scales][groups]; of FourBitTable one for each block of elements. As many zeros.
  std::vector<float> scales, zeros;
  std::uint64_t groups = 1;          ///< scales of a row, from that of the first column on
  std::vector<std::uint32_t> order;  ///< the group of each column; empty: they follow one another
  std::vector<float> table;          ///< the values of four-bit codes
};

/// @param boxes as Dequantizer has them @throws Error as it does
[[nodiscard]] DequantizeParts prepare_parts(const QuantizedWeight& weight, const WeightPart& part,
                                            std::span<const std::span<const std::byte>> boxes);

}  // namespace initrt
