#include "runtime/convert/batch.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/dequantize.h"
#include "runtime/convert/quantize.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Where a batch's rows go.
class Held {
 public:
  // Into the host's memory.
  Held(const RowBatch& batch, const BatchMemory& parts, std::byte* shard)
      : batch_(batch),
        parts_(parts),
        shard_(shard),
        scales_(has_coded_scales(batch.format) ? batch.float_scales : shard) {}
  // Into staging, from which they are copied; but for scales that become codes later, which stay
  // on the host.
  Held(const RowBatch& batch, const BatchMemory& parts, std::span<std::byte> staging,
       const CopyRows& copy)
      : batch_(batch),
        parts_(parts),
        scales_(batch.float_scales),
        staging_(staging),
        copy_(&copy) {}

  [[nodiscard]] const RowBatch& batch() const { return batch_; }
  [[nodiscard]] const BatchMemory& parts() const { return parts_; }
  [[nodiscard]] std::uint64_t bytes() const {
    return batch_.lanes * batch_.rows *
           (held_codes(batch_, 0).bytes + held_scales(batch_, 0).bytes);
  }

  // @param in rows in the precision @param first of the batch's rows in the lane
  void quantize(std::span<const std::byte> in, std::uint64_t first, std::uint64_t rows,
                std::uint32_t lane = 0) const {
    put(first, rows, lane, [&](std::uint64_t row, const Rows& to) {
      quantize_rows(batch_.made_format(), in.subspan((row - first) * batch_.row_bytes()),
                    batch_.dtype, to.count, batch_.columns, to.codes, to.scales,
                    batch_.first_row + row, batch_.first_column);
    });
  }

  // The tile's numbers, rounded to the precision.
  void round(const BatchTile& tile) const {
    put(tile.row, tile.values.size() / batch_.columns, tile.lane,
        [&](std::uint64_t row, const Rows& to) {
          const std::uint64_t elements = to.count * batch_.columns;
          convert(std::as_bytes(tile.values.subspan((row - tile.row) * batch_.columns, elements)),
                  DType::F32, 0, elements, to.codes, batch_.dtype);
        });
  }

 private:
  struct Rows {
    std::byte *codes, *scales;
    std::uint64_t count;
  };

  // make(first row, where its codes and scales go), for as many rows at a time as there is room,
  // one behind the other.
  template <class Make>
  void put(std::uint64_t first, std::uint64_t rows, std::uint32_t lane, const Make& make) const {
    const HeldRows codes = held_codes(batch_, lane), scales = held_scales(batch_, lane);
    // A slab's rows are apart from each other where they are held.
    const bool apart = batch_.columns != batch_.width, coded = has_coded_scales(batch_.format);
    const bool stages_scales = copy_ != nullptr && (!coded || apart);
    const std::uint64_t bytes = codes.bytes + (stages_scales ? scales.bytes : 0);
    std::uint64_t most = copy_ == nullptr ? (apart ? 1 : rows) : staging_.size() / bytes;
    if (most == 0) fail("a row of {} bytes does not fit {}", bytes, staging_.size());
    for (std::uint64_t row = first; row < first + rows; row += most) {
      const std::uint64_t count = std::min(most, first + rows - row);
      const std::uint64_t to = codes.first + row * codes.stride;
      const std::uint64_t scales_to = scales.first + row * scales.stride;
      if (copy_ == nullptr) {
        make(row, Rows{shard_ + to, scales_ + scales_to, count});
        continue;
      }
      const std::span<std::byte> made = staging_.first(count * codes.bytes);
      const std::span<std::byte> made_scales =
          staging_.subspan(made.size(), stages_scales ? count * scales.bytes : 0);
      make(row, Rows{made.data(), stages_scales ? made_scales.data() : scales_ + scales_to, count});
      if (stages_scales && coded) {
        for (std::uint64_t i = 0; i < count; ++i) {
          std::memcpy(scales_ + scales_to + i * scales.stride,
                      made_scales.data() + i * scales.bytes, scales.bytes);
        }
      } else if (!made_scales.empty()) {
        (*copy_)({made_scales, scales.bytes, scales_to, scales.stride});
      }
      (*copy_)({made, codes.bytes, to, codes.stride});
    }
  }

  const RowBatch& batch_;
  const BatchMemory& parts_;
  std::byte* const shard_ = nullptr;
  std::byte* const scales_ = nullptr;
  const std::span<std::byte> staging_;
  const CopyRows* const copy_ = nullptr;
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
  const RowBatch& batch = held.batch();
  if (piece.from == piece.to) {
    held.quantize(bytes, 0, batch.rows);
    return;
  }
  const DTypeInfo& from = info(piece.from);
  const std::uint64_t some = divide_batch_memory(batch).tile_rows;
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
  const WeightPart part = batch.source_part();
  const std::vector<SourceBox> boxes = source_boxes(*batch.source, part);
  const std::vector<std::uint64_t> offsets = box_offsets(boxes);
  std::vector<std::span<const std::byte>> bytes;
  bytes.reserve(boxes.size());
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    bytes.emplace_back(memory.subspan(offsets[i], boxes[i].bytes()));
  }
  const Dequantizer dequantizer(*batch.source, part, bytes);
  auto* const values = reinterpret_cast<float*>(memory.data() + parts.values);
  auto* const source = reinterpret_cast<float*>(memory.data() + parts.source);
  if (batch.transposed) dequantizer.make(part.row, part.rows, source);
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
  const RowBatch& batch = held.batch();
  const std::span<std::byte> rounded = memory.subspan(held.parts().rounded);
  dequantize_batch(batch, held.parts(), memory, [&](const BatchTile& tile) {
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

void check_memory(const Held& held, std::span<const std::byte> memory) {
  const std::uint64_t needed = held.parts().bytes;
  if (memory.size() < needed) {
    fail("a batch of {} rows takes {} bytes, {} given", held.batch().rows, needed, memory.size());
  }
}

bool is_last(const UnitReads& plan, const ReadTask& task, const Read& read) {
  return &read == &plan.reads[task.first_read + task.reads - 1];
}

// All that was read lies in the batch's memory.
std::uint64_t make_rows(const Held& held, std::span<std::byte> memory) {
  const RowBatch& batch = held.batch();
  if (batch.source == nullptr) {
    held.quantize(memory.first(batch.rows * batch.row_bytes()), 0, batch.rows);
  } else if (batch.format == WeightFormat::Plain) {
    dequantize_batch(batch, held.parts(), memory, [&](const BatchTile& tile) { held.round(tile); });
  } else {
    quantize_batch(held, memory);
  }
  return held.bytes();
}

}  // namespace

void dequantize_batch(const RowBatch& batch, std::span<std::byte> memory,
                      const std::function<void(const BatchTile&)>& each) {
  dequantize_batch(batch, divide_batch_memory(batch), memory, each);
}

std::uint64_t convert_batch_read(const UnitReads& plan, const ReadTask& task, const Read& read,
                                 std::span<const std::byte> bytes, std::span<std::byte> memory,
                                 std::byte* shard) {
  const BatchMemory parts = divide_batch_memory(*task.batch);
  const Held held(*task.batch, parts, shard);
  check_memory(held, memory);
  if (const Piece* piece = whole_batch(plan, task)) {
    quantize_read(held, *piece, bytes, memory);
    return held.bytes();
  }
  convert_read(plan, read, bytes, memory.data());
  return is_last(plan, task, read) ? make_rows(held, memory) : 0;
}

std::uint64_t convert_batch_read(const UnitReads& plan, const ReadTask& task, const Read& read,
                                 std::span<const std::byte> bytes, std::span<std::byte> memory,
                                 std::span<std::byte> staging, const CopyRows& copy) {
  const BatchMemory parts = divide_batch_memory(*task.batch);
  const Held held(*task.batch, parts, staging, copy);
  check_memory(held, memory);
  convert_read(plan, read, bytes, memory.data());
  return is_last(plan, task, read) ? make_rows(held, memory) : 0;
}

}  // namespace initrt
