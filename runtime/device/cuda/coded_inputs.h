// How inputs lie that products with codes read (coded.h). Told without CUDA, for needs.h.
#pragma once

#include <cstdint>

namespace initrt::cuda {

/// Columns that a warp takes at once: 32 for each lane. Rows of inputs end with zeros up to the
/// next multiple.
inline constexpr std::uint32_t kSegmentElements = 1024;

/// More columns of Int8 could overflow the sums.
inline constexpr std::uint64_t kInt8Columns = 1u << 17;

/// Bytes of a row of inputs, in the order in which lanes read them: of each segment 16 bytes of
/// each lane's elements, then the next 16 of each.
[[nodiscard]] constexpr std::uint64_t lane_order_bytes(std::uint64_t element_bytes,
                                                       std::uint64_t columns) {
  return (columns + kSegmentElements - 1) / kSegmentElements * kSegmentElements * element_bytes;
}

/// An input row as codes for Int8: this, a code for each column, and a bit for each that is an
/// outlier.
struct ByteInputs {
  float scale;             ///< the largest magnitude of what is no outlier; NaN where one is
  std::uint32_t outliers;  ///< whether there are any
  std::uint32_t unused[2];
};
[[nodiscard]] constexpr std::uint64_t byte_inputs_bytes(std::uint64_t columns) {
  return sizeof(ByteInputs) + lane_order_bytes(1, columns) / 8 * 9;
}

}  // namespace initrt::cuda
