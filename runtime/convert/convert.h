// Conversion of checkpoint elements while they stream: any checkpoint dtype to a unit dtype.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sharding/dtype.h"
#include "sharding/reads.h"

namespace initrt {

/// Whether convert() can read `from` and write `to`.
[[nodiscard]] bool can_convert(DType from, DType to);

/// Converts `elements` elements, starting with element `skip` of the first block of `in`
/// (skip < block_elements; 0 for plain types), into `out`.
/// Values go through float32; narrowing rounds to nearest even; NaN stays NaN.
/// `in` holds whole blocks; neither buffer needs to be aligned.
/// @throws Error where can_convert() is false.
void convert(std::span<const std::byte> in, DType from, std::uint32_t skip, std::uint64_t elements,
             std::byte* out, DType to);

/// Converts every piece of one read of `plan`. @param bytes the read's bytes
/// @param to where the pieces' destinations count from
/// @returns bytes written
std::uint64_t convert_read(const UnitReads& plan, const Read& read,
                           std::span<const std::byte> bytes, std::byte* to);

}  // namespace initrt
