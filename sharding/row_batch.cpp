#include "sharding/row_batch.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"

namespace initrt {
namespace {

// Numbers that are made at once: they stay in the second-level cache. Of a slab's short rows fewer
// will do, and leave more of a batch's memory to what is read.
constexpr std::uint64_t kTileElements = 64 << 10, kTileRows = 128;

std::uint64_t aligned(std::uint64_t bytes) {
  return divide_up(bytes, kBoxAlignment) * kBoxAlignment;
}

}  // namespace

WeightPart RowBatch::source_part() const {
  if (transposed) return {source_row, columns, 0, source->columns};
  return {source_row, rows * lanes, source_column, columns};
}

HeldRows held_codes(const RowBatch& batch, std::uint32_t lane) {
  const auto bytes = [&](std::uint64_t columns) {
    return row_bytes(batch.format, batch.dtype, columns);
  };
  return {batch.to[lane].codes + bytes(batch.first_column), bytes(batch.columns),
          bytes(batch.width)};
}

HeldRows held_scales(const RowBatch& batch, std::uint32_t lane) {
  const auto bytes = [&](std::uint64_t columns) {
    return columns == 0 ? 0 : scale_row_bytes(batch.made_format(), columns);
  };
  return {batch.to[lane].scales + bytes(batch.first_column), bytes(batch.columns),
          bytes(batch.width)};
}

BatchMemory divide_batch_memory(const RowBatch& batch) {
  BatchMemory memory;
  memory.tile_rows = std::min(
      batch.rows,
      std::clamp<std::uint64_t>(kTileElements / batch.columns / batch.lanes, 1, kTileRows));
  const std::uint64_t tile_elements = memory.tile_rows * batch.columns;
  if (batch.source == nullptr) {
    memory.bytes = batch.rows * batch.row_bytes();
    return memory;
  }
  const WeightPart part = batch.source_part();
  memory.source = aligned(scratch_bytes(source_boxes(*batch.source, part)));
  memory.values = memory.source;
  if (batch.transposed) {
    memory.values +=
        checked_product("a transposed weight", {part.rows, part.columns, sizeof(float)});
    memory.values = aligned(memory.values);
  }
  memory.rounded = memory.values + aligned(batch.lanes * tile_elements * sizeof(float));
  memory.bytes = memory.rounded;
  // Float32 is quantized as it is; and what is not quantized goes where it is held.
  if (batch.format != WeightFormat::Plain && batch.dtype != DType::F32) {
    memory.bytes += bytes_of(batch.dtype, tile_elements);
  }
  return memory;
}

}  // namespace initrt
