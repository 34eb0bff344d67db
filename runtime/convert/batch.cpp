#include "runtime/convert/batch.h"

#include <algorithm>

#include "runtime/convert/convert.h"
#include "runtime/convert/quantize.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Elements that are converted before they are quantized: they stay in the second-level cache.
constexpr std::uint64_t kTileElements = 64 << 10;

// Whether the task's one piece is all of the batch's rows, in order.
const Piece* whole_batch(const UnitReads& plan, const ReadTask& task) {
  const Read& read = plan.reads[task.first_read];
  if (task.reads != 1 || read.pieces != 1) return nullptr;
  const Piece& piece = plan.pieces[read.first_piece];
  const bool dense = piece.source_step == 1 && piece.destination_step == 1 && piece.add == 0 &&
                     piece.skip == 0 && piece.destination == 0;
  return dense && piece.elements == task.batch->rows * task.batch->columns ? &piece : nullptr;
}

struct Quantizer {
  const RowBatch& batch;
  std::byte* to;

  // @param row of the batch
  void operator()(std::span<const std::byte> in, std::uint64_t row, std::uint64_t rows) const {
    quantize_rows(batch.format, in, batch.dtype, rows, batch.columns,
                  to + batch.codes + row * row_bytes(batch.format, batch.dtype, batch.columns),
                  to + batch.scales + row * scale_row_bytes(batch.format, batch.columns),
                  batch.first_row + row);
  }
};

}  // namespace

std::uint64_t convert_batch_read(const UnitReads& plan, const ReadTask& task, const Read& read,
                                 std::span<const std::byte> bytes, std::span<std::byte> rows,
                                 std::byte* to) {
  const RowBatch& batch = *task.batch;
  const std::uint64_t row_bytes = batch.row_bytes();
  if (rows.size() < batch.rows * row_bytes) {
    fail("{} rows of {} bytes do not fit {}", batch.rows, row_bytes, rows.size());
  }
  const Quantizer quantize{batch, to};
  const std::uint64_t written =
      batch.rows * (initrt::row_bytes(batch.format, batch.dtype, batch.columns) +
                    scale_row_bytes(batch.format, batch.columns));
  if (const Piece* piece = whole_batch(plan, task)) {
    if (piece->from == piece->to) {
      quantize(bytes, 0, batch.rows);
      return written;
    }
    const DTypeInfo& from = info(piece->from);
    const std::uint64_t some = std::max<std::uint64_t>(kTileElements / batch.columns, 1);
    for (std::uint64_t row = 0; row < batch.rows; row += some) {
      const std::uint64_t count = std::min(some, batch.rows - row);
      const std::uint64_t first = row * batch.columns, elements = count * batch.columns;
      const std::uint64_t skip = first % from.block_elements;
      convert(bytes.subspan(first / from.block_elements * from.block_bytes), piece->from,
              static_cast<std::uint32_t>(skip), elements, rows.data(), batch.dtype);
      quantize(rows.first(count * row_bytes), row, count);
    }
    return written;
  }
  convert_read(plan, read, bytes, rows.data());
  const bool last = &read == &plan.reads[task.first_read + task.reads - 1];
  if (!last) return 0;
  quantize(rows.first(batch.rows * row_bytes), 0, batch.rows);
  return written;
}

}  // namespace initrt
