// The kernels of quantize_rows(): one per format, dtype and instruction set, all with the same
// bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sharding/dtype.h"
#include "sharding/weight_format.h"

namespace initrt {

/// Sets of instructions that kernels are compiled for, best first.
enum class QuantizeSet : std::uint8_t { Avx512, Avx2, Portable };
inline constexpr std::array kQuantizeSets = {QuantizeSet::Avx512, QuantizeSet::Avx2,
                                             QuantizeSet::Portable};

/// Whether this machine has a set.
[[nodiscard]] bool supported(QuantizeSet set);

/// Quantizes one row. @returns whether all elements are finite; where not, nothing is promised
/// about what was written.
using QuantizeRow = bool (*)(const std::byte* in, std::uint64_t columns, std::byte* codes,
                             std::byte* scales);

/// The kernel of a set, or nullptr where there is none for the format and dtype.
[[nodiscard]] QuantizeRow quantize_kernel(WeightFormat format, DType from, QuantizeSet set);

}  // namespace initrt
