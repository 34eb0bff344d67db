// Rows that are put together before they are quantized (RowBatch).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sharding/reads.h"

namespace initrt {

/// Takes one of a batch's reads, in order; with the last one the batch's rows are quantized.
/// @param bytes the read's bytes
/// @param rows memory for the batch's rows, the same for all its reads
/// @param to where codes and scales count from
/// @returns bytes of them written
/// @throws Error for values that cannot be quantized (NaN, infinity)
std::uint64_t convert_batch_read(const UnitReads& plan, const ReadTask& task, const Read& read,
                                 std::span<const std::byte> bytes, std::span<std::byte> rows,
                                 std::byte* to);

}  // namespace initrt
