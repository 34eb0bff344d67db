// Rows of a weight that are made as a whole from what several reads bring: of weights that are held
// quantized, because a scale needs all elements that share it; of weights that the checkpoint
// stores quantized, because their codes and scales are in several tensors. Of weights that are
// stored by columns many rows are made at once, and some of their columns: a slab, whose stored
// rows are read whole.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sharding/dtype.h"
#include "sharding/weight_format.h"

namespace initrt {

struct QuantizedWeight;
struct WeightPart;

/// Where rows go: bytes into this rank's shard; but where scales become codes later, these are of
/// float32 first, and count from RowBatch::float_scales.
struct RowPlace {
  std::uint64_t codes = 0, scales = 0;
};

/// What reads bring, the batch's pieces, is put together in memory that the batch is given.
struct RowBatch {
  WeightFormat format = WeightFormat::Plain;  ///< that the rows are held in
  DType dtype = DType::F32;                   ///< the job's precision, which they are rounded to
  std::uint32_t tensor = 0;                   ///< index into Graph::tensors
  std::uint64_t first_row = 0, rows = 0;
  std::uint64_t first_column = 0, columns = 0;  ///< all of the tensor's, but for a slab
  std::uint64_t width = 0;                      ///< the tensor's columns, at which rows follow
  /// 2: the source's rows are in turns rows of this tensor and of another one of the same shape,
  /// which is held alike. `rows` are of each.
  std::uint32_t lanes = 1;
  std::array<RowPlace, 2> to = {};  ///< by lane, of the first row's column 0
  /// Of a format with coded scales, said by who carries the plan out: the unit's (UnitScales), in
  /// the host's memory.
  std::byte* float_scales = nullptr;
  /// Of a weight that is stored quantized: it, and its element that is the batch's first. What is
  /// read is the boxes of its tensors; else the rows themselves.
  const QuantizedWeight* source = nullptr;
  std::uint64_t source_row = 0, source_column = 0;
  /// Its columns from `source_column` are the batch's rows, and its rows from `source_row` the
  /// batch's columns. What is read is these rows as a whole.
  bool transposed = false;

  /// What rows are first made in: scales are coded when all of a matrix are there.
  [[nodiscard]] WeightFormat made_format() const { return with_float_scales(format); }
  /// Of a row in the precision.
  [[nodiscard]] std::uint64_t row_bytes() const { return bytes_of(dtype, columns); }
  /// Of the source, that is read.
  [[nodiscard]] WeightPart source_part() const;
};

/// How a batch's codes, or its scales, lie where they are held: each row's `bytes` from `first` on,
/// and one row's `stride` behind those of the one before.
struct HeldRows {
  std::uint64_t first = 0, bytes = 0, stride = 0;

  /// From the first byte of some rows to the last one's.
  [[nodiscard]] std::uint64_t span(std::uint64_t rows) const {
    return rows == 0 || bytes == 0 ? 0 : (rows - 1) * stride + bytes;
  }
};
[[nodiscard]] HeldRows held_codes(const RowBatch& batch, std::uint32_t lane);
[[nodiscard]] HeldRows held_scales(const RowBatch& batch, std::uint32_t lane);

/// How a batch divides the memory that it is given: offsets in bytes.
struct BatchMemory {
  std::uint64_t tile_rows = 0;  ///< that are made numbers at once, in each lane
  std::uint64_t source = 0;     ///< behind the boxes: the source's rows in float32, if transposed
  std::uint64_t values = 0;     ///< float32 [lanes, tile_rows, columns]
  std::uint64_t rounded = 0;    ///< [tile_rows, columns] in the precision
  std::uint64_t bytes = 0;      ///< of all
};
[[nodiscard]] BatchMemory divide_batch_memory(const RowBatch& batch);

}  // namespace initrt
