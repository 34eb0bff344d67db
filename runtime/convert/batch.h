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
/// @param shard what the batch's codes and scales are offsets into: there rows go, in the format
///        that they are held in; apart from `memory` and `bytes`
/// @returns bytes written there
/// @throws Error for values that cannot be quantized (NaN, infinity), and as dequantize_rows()
std::uint64_t convert_batch_read(const UnitReads& plan, const ReadTask& task, const Read& read,
                                 std::span<const std::byte> bytes, std::span<std::byte> memory,
                                 std::byte* shard);

/// Made rows, or their scales, one after the other, and where they belong.
struct MadeRows {
  std::span<const std::byte> bytes;
  std::uint64_t row_bytes = 0;
  std::uint64_t to = 0, stride = 0;  ///< offsets into the shard: of the first row, from row to row
};
/// What copies made rows to where they belong, and returns once they may be written anew.
using CopyRows = std::function<void(const MadeRows& rows)>;

/// The same for a shard that is not the host's memory. Scales that become codes later go to
/// RowBatch::float_scales all the same.
/// @param staging where rows are made, as many at a time as it has room for; apart from `memory`,
///        but `bytes` of the last read may lie there
std::uint64_t convert_batch_read(const UnitReads& plan, const ReadTask& task, const Read& read,
                                 std::span<const std::byte> bytes, std::span<std::byte> memory,
                                 std::span<std::byte> staging, const CopyRows& copy);

/// Some rows of a batch.
struct BatchTile {
  std::uint32_t lane = 0;
  std::uint64_t row = 0;          ///< of the batch's, the first
  std::span<const float> values;  ///< [rows, batch.columns]
};

/// Makes rows of a weight that is stored quantized, once its boxes lie in a batch's memory, a tile
/// after the other.
/// @param each called with each tile; its values lie in the batch's memory until it returns
void dequantize_batch(const RowBatch& batch, std::span<std::byte> memory,
                      const std::function<void(const BatchTile&)>& each);

}  // namespace initrt
