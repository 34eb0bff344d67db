#include "sharding/row_batch.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"

namespace initrt {
namespace {

// Numbers that are made at once: they stay in the second-level cache.
constexpr std::uint64_t kTileElements = 64 << 10;

std::uint64_t aligned(std::uint64_t bytes) {
  return divide_up(bytes, kBoxAlignment) * kBoxAlignment;
}

}  // namespace

BatchMemory divide_batch_memory(const RowBatch& batch) {
  BatchMemory memory;
  memory.tile_rows =
      std::min(batch.rows, std::max<std::uint64_t>(kTileElements / batch.columns / batch.lanes, 1));
  const std::uint64_t tile_elements = memory.tile_rows * batch.columns;
  if (batch.source == nullptr) {
    memory.bytes = batch.rows * batch.row_bytes();
    return memory;
  }
  memory.source =
      aligned(scratch_bytes(source_boxes(*batch.source, batch.source_row, batch.source_rows())));
  memory.values = memory.source;
  if (batch.transposed) {
    memory.values += checked_product("a transposed weight",
                                     {batch.source_rows(), batch.source->columns, sizeof(float)});
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
