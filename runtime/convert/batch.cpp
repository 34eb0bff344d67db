#include "runtime/convert/batch.h"

#include <algorithm>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/dequantize.h"
#include "runtime/convert/quantize.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Where a batch's rows go.
struct Held {
  const RowBatch& batch;
  const BatchMemory& parts;
  std::byte* shard;

  [[nodiscard]] std::uint64_t row_bytes() const {
    return initrt::row_bytes(batch.format, batch.dtype, batch.columns);
  }
  [[nodiscard]] std::uint64_t scale_bytes() const {
    return scale_row_bytes(batch.made_format(), batch.columns);
  }
  [[nodiscard]] std::uint64_t bytes() const {
    return batch.lanes * batch.rows * (row_bytes() + scale_bytes());
  }
  [[nodiscard]] std::byte* codes(std::uint32_t lane, std::uint64_t row) const {
    return shard + batch.to[lane].codes + row * row_bytes();
  }

  // @param in rows in the precision @param first of the batch's rows in the lane
  void quantize(std::span<const std::byte> in, std::uint64_t first, std::uint64_t rows,
                std::uint32_t lane = 0) const {
    std::byte* const scales = has_coded_scales(batch.format) ? batch.float_scales : shard;
    quantize_rows(batch.made_format(), in, batch.dtype, rows, batch.columns, codes(lane, first),
                  scales + batch.to[lane].scales + first * scale_bytes(), batch.first_row + first);
  }
};

// Whether the task's one piece is all of the batch's rows, in order.
const Piece* whole_batch(const UnitReads& plan, const ReadTask& task) {
  const Read& read = plan.reads[task.first_read];
  if (task.batch->source != nullptr || task.reads != 1 || read.pieces != 1) return nullptr;
  const Piece& piece = plan.pieces[read.first_piece];
  const bool dense = piece.source_step == 1 && piece.destination_step == 1 &&
                     !piece.map.changes() && piece.skip == 0 && piece.destination == 0;
  return dense && piece.elements == task.batch->rows * task.batch->columns ? &piece : nullptr;
}

// Rows that lie in the read, dense: some at a time, which stay in the cache.
void quantize_read(const Held& held, const Piece& piece, std::span<const std::byte> bytes,
                   std::span<std::byte> memory) {
  const RowBatch& batch = held.batch;
  if (piece.from == piece.to) {
    held.quantize(bytes, 0, batch.rows);
    return;
  }
  const DTypeInfo& from = info(piece.from);
  const std::uint64_t some = held.parts.tile_rows;
  for (std::uint64_t row = 0; row < batch.rows; row += some) {
    const std::uint64_t count = std::min(some, batch.rows - row);
    const std::uint64_t first = row * batch.columns;
    convert(bytes.subspan(first / from.block_elements * from.block_bytes), piece.from,
            static_cast<std::uint32_t>(first % from.block_elements), count * batch.columns,
            memory.data(), batch.dtype);
    held.quantize(memory.first(count * batch.row_bytes()), row, count);
  }
}

// The source's columns from the tile's first row on, as rows.
void transpose(const RowBatch& batch, const float* source, std::uint64_t row, std::uint64_t rows,
               float* out) {
  const float* in = source + batch.source_column + row;
  for (std::uint64_t column = 0; column < batch.columns; ++column, in += batch.source->columns) {
    for (std::uint64_t i = 0; i < rows; ++i) out[i * batch.columns + column] = in[i];
  }
}

void dequantize_batch(const RowBatch& batch, const BatchMemory& parts, std::span<std::byte> memory,
                      const std::function<void(const BatchTile&)>& each) {
  const std::vector<SourceBox> boxes =
      source_boxes(*batch.source, batch.source_row, batch.source_rows());
  const std::vector<std::uint64_t> offsets = box_offsets(boxes);
  std::vector<std::span<const std::byte>> bytes;
  bytes.reserve(boxes.size());
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    bytes.emplace_back(memory.subspan(offsets[i], boxes[i].bytes()));
  }
  const Dequantizer dequantizer(*batch.source, batch.source_row, batch.source_rows(), bytes);
  auto* const values = reinterpret_cast<float*>(memory.data() + parts.values);
  auto* const source = reinterpret_cast<float*>(memory.data() + parts.source);
  if (batch.transposed) dequantizer.make(batch.source_row, batch.source_rows(), source);
  for (std::uint64_t row = 0; row < batch.rows; row += parts.tile_rows) {
    const std::uint64_t rows = std::min(parts.tile_rows, batch.rows - row);
    const auto lane_values = [&](std::uint32_t lane) {
      return values + lane * rows * batch.columns;
    };
    if (batch.transposed) {
      transpose(batch, source, row, rows, values);
    } else if (batch.lanes == 1) {
      dequantizer.make(batch.source_row + row, rows, values);
    } else {
      for (std::uint64_t i = 0; i < rows; ++i) {
        for (std::uint32_t lane = 0; lane < batch.lanes; ++lane) {
          dequantizer.make(batch.source_row + (row + i) * batch.lanes + lane, 1,
                           lane_values(lane) + i * batch.columns);
        }
      }
    }
    for (std::uint32_t lane = 0; lane < batch.lanes; ++lane) {
      each({lane, row, std::span<const float>(lane_values(lane), rows * batch.columns)});
    }
  }
}

// Rows of a weight that is stored quantized, held quantized.
void quantize_batch(const Held& held, std::span<std::byte> memory) {
  const RowBatch& batch = held.batch;
  const std::span<std::byte> rounded = memory.subspan(held.parts.rounded);
  dequantize_batch(batch, held.parts, memory, [&](const BatchTile& tile) {
    const std::uint64_t rows = tile.values.size() / batch.columns;
    const std::span<const std::byte> bytes = std::as_bytes(tile.values);
    if (batch.dtype == DType::F32) {
      held.quantize(bytes, tile.row, rows, tile.lane);
      return;
    }
    convert(bytes, DType::F32, 0, tile.values.size(), rounded.data(), batch.dtype);
    held.quantize(rounded.first(rows * batch.row_bytes()), tile.row, rows, tile.lane);
  });
}

}  // namespace

void dequantize_batch(const RowBatch& batch, std::span<std::byte> memory,
                      const std::function<void(const BatchTile&)>& each) {
  dequantize_batch(batch, divide_batch_memory(batch), memory, each);
}

std::uint64_t convert_batch_read(const UnitReads& plan, const ReadTask& task, const Read& read,
                                 std::span<const std::byte> bytes, std::span<std::byte> memory,
                                 std::byte* shard) {
  const RowBatch& batch = *task.batch;
  const BatchMemory parts = divide_batch_memory(batch);
  const Held held{batch, parts, shard};
  if (memory.size() < parts.bytes) {
    fail("a batch of {} rows takes {} bytes, {} given", batch.rows, parts.bytes, memory.size());
  }
  if (const Piece* piece = whole_batch(plan, task)) {
    quantize_read(held, *piece, bytes, memory);
    return held.bytes();
  }
  convert_read(plan, read, bytes, memory.data());
  const bool last = &read == &plan.reads[task.first_read + task.reads - 1];
  if (!last) return 0;
  if (batch.source == nullptr) {
    held.quantize(memory.first(batch.rows * batch.row_bytes()), 0, batch.rows);
  } else if (batch.format == WeightFormat::Plain) {
    dequantize_batch(batch, parts, memory, [&](const BatchTile& tile) {
      convert(std::as_bytes(tile.values), DType::F32, 0, tile.values.size(),
              held.codes(tile.lane, tile.row), batch.dtype);
    });
  } else {
    quantize_batch(held, memory);
  }
  return held.bytes();
}

}  // namespace initrt
