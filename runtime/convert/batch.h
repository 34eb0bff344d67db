// Rows that are made as a whole from what several reads bring (RowBatch).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "sharding/reads.h"

namespace initrt {

/// Takes one of a batch's reads, in order; with the last one the batch's rows are made.
/// @param bytes the read's bytes
/// @param memory the batch's, the same for all its reads: divide_batch_memory().bytes
/// @param codes where rows go, in the format that they are held in; nowhere in `memory` or `bytes`
/// @param scales where their scales go, of formats that have them
/// @returns bytes written there
/// @throws Error for values that cannot be quantized (NaN, infinity), and as dequantize_rows()
std::uint64_t convert_batch_read(const UnitReads& plan, const ReadTask& task, const Read& read,
                                 std::span<const std::byte> bytes, std::span<std::byte> memory,
                                 std::byte* codes, std::byte* scales);

/// Makes rows of a weight that is stored quantized, once its boxes lie in a batch's memory, a tile
/// of some rows after the other.
/// @param each called with a tile's first row, counted in the batch, and its values in float32,
///        [rows, batch.columns], which lie in the batch's memory until it returns
void dequantize_batch(const RowBatch& batch, std::span<std::byte> memory,
                      const std::function<void(std::uint64_t row, std::span<const float>)>& each);

}  // namespace initrt
