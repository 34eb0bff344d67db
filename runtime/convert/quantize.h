// Numbers to codes and scales while they stream, with the bits of bitsandbytes 0.50.2 on CPUs
// (tests/golden/make_bitsandbytes_reference.py), and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sharding/dtype.h"
#include "sharding/weight_format.h"

namespace initrt {

/// Quantizes rows of `columns` elements, one after the other, to dense rows of codes
/// (row_bytes() each) and of scales (scale_row_bytes() each). No buffer needs to be aligned.
///
/// Int8: what int8_vectorwise_quant() gives for a tensor of dtype `from`. A model that bitsandbytes
/// loads has gone through float16 first (Int8Params), which changes no BF16 number between 2^-17
/// and 65504, but most F32 numbers, and so some of their codes. A row whose largest magnitude is 0,
/// or below 127 / FLT_MAX, has codes of 0, as there.
///
/// Nf4, Fp4: what quantize_4bit() gives for each row by itself: for a matrix too where columns are
/// a multiple of 64; where they are not, its blocks run on into the next row, and these do not. A
/// shorter block's scale is at least 1e-38. The code of 0 fills up a row of odd width.
/// @param format Int8, Nf4 or Fp4 @param in at least rows * columns elements
/// @param from F32, BF16 or F16 @param first_row, first_column of the first element, for errors
/// @throws Error that names row and column of the first element that is not finite, before which
///   rows are written; for another format or dtype, and where `in` is too short
void quantize_rows(WeightFormat format, std::span<const std::byte> in, DType from,
                   std::uint64_t rows, std::uint64_t columns, std::byte* codes, std::byte* scales,
                   std::uint64_t first_row = 0, std::uint64_t first_column = 0);

/// The inverse, in float32 as bitsandbytes dequantizes to it: code * scale, and for Int8 that by
/// 1/127. Scales may be codes here, too. @param out rows * columns elements
/// @throws Error for another format
void dequantize_rows(WeightFormat format, const std::byte* codes, const std::byte* scales,
                     std::uint64_t rows, std::uint64_t columns, float* out);

}  // namespace initrt
