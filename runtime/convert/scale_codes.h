// Scales of four-bit weights to codes of a byte (WeightFormat::Nf4Dq, Fp4Dq), with the bits of
// bitsandbytes 0.50.2 on CPUs (tests/golden/make_bitsandbytes_reference.py): its dynamic map for
// the scales of a matrix less their mean, 256 to a magnitude.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sharding/scale_coding.h"
#include "sharding/weight_format.h"

namespace initrt {

/// A sum of float32 without rounding, so that it does not depend on how it was put together.
using SumWords = std::array<std::uint64_t, kSumWords>;

/// @param scales positive, finite, fewer than 2^40
[[nodiscard]] SumWords exact_sum(std::span<const float> scales);
void add_to(SumWords& sum, const SumWords& other);
/// sum / count, rounded once, to nearest even. torch.mean(), which bitsandbytes takes, rounds as it
/// adds, in an order that goes by its threads and instruction set: it may be some units in the last
/// place away.
[[nodiscard]] float mean_of(const SumWords& sum, std::uint64_t count);

/// The largest |scale - offset| of each block of 256 that scales [begin, begin + scales.size()) of
/// a matrix lie in, as far as these tell.
[[nodiscard]] std::vector<float> block_magnitudes(std::span<const float> scales,
                                                  std::uint64_t begin, float offset);

/// Codes the scales of some rows of a matrix, one after the other.
/// @param scales [rows, scales of a row] @param first_row of the matrix
/// @param magnitudes of the blocks that the scales lie in, beginning with the first one's
/// @param out rows as CodedScaleRow has them; may lie over the scales where no row reaches those of
///        a later one
void code_scales(std::span<const float> scales, std::uint64_t first_row, std::uint64_t columns,
                 float offset, std::span<const float> magnitudes, std::byte* out);

/// All of it, for all rows of a matrix.
void code_all_scales(std::span<const float> scales, std::uint64_t columns, std::byte* out);

/// The scales of one row. @param out as many as the row has
void decode_scales(const std::byte* row, std::uint64_t columns, float* out);

}  // namespace initrt
