#include "sharding/batch_plan.h"

#include <algorithm>

#include "sharding/checked.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using FilePiece = std::pair<std::uint32_t, Piece>;

// The widest dtype that a tensor's elements are stored in, in bits.
std::uint64_t bits_stored(const Binding& binding, const Catalog& catalog) {
  std::uint64_t most = 0;
  for (const RowRun& run : binding.runs) {
    const DTypeInfo& type = info(catalog.tensors[run.source].dtype);
    most = std::max<std::uint64_t>(most, divide_up(8 * type.block_bytes, type.block_elements));
  }
  return most;
}

// Of rows that follow one another, how many are one batch: as many as fit a block's half and, where
// they are read as they are, one read.
std::uint64_t rows_of_batch(const OwnedRows& owned, RowBatch batch, std::uint64_t most,
                            const Catalog& catalog, const ReadLimits& limits) {
  batch.rows = most;
  if (batch.source == nullptr) {
    const std::uint64_t stored =
        divide_up(owned.tensor.columns * bits_stored(owned.binding, catalog), 8);
    const std::uint64_t read = limits.batch_read_bytes / std::max<std::uint64_t>(stored, 1);
    batch.rows = std::clamp<std::uint64_t>(read, 1, most);
  }
  while (true) {
    const std::uint64_t bytes = divide_batch_memory(batch).bytes;
    if (bytes <= limits.batch_bytes) break;
    if (batch.rows == 1) {
      fail(
          "load.staging is too small for {}: the least that can be made of it takes {} bytes of "
          "the {} that half a block has",
          owned.tensor.name, bytes, limits.batch_bytes);
    }
    batch.rows = std::max<std::uint64_t>(batch.rows - divide_up(batch.rows, 8), 1);
  }
  // Rows that share scales are one batch's, where that is possible.
  const bool is_source_rows = batch.source != nullptr && !batch.transposed && batch.lanes == 1;
  const std::uint64_t block = is_source_rows ? batch.source->block_rows : 1;
  const std::uint64_t over = (batch.source_row + batch.rows) % block;
  return batch.rows < most && over < batch.rows ? batch.rows - over : batch.rows;
}

// The pieces of a weight's boxes, each of which lies densely in the batch's memory.
void plan_boxes(const RowBatch& batch, const Catalog& catalog, std::vector<FilePiece>& pieces) {
  const std::vector<SourceBox> boxes =
      source_boxes(*batch.source, batch.source_row, batch.source_rows());
  const std::vector<std::uint64_t> offsets = box_offsets(boxes);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const SourceBox& box = boxes[i];
    RowRun run;
    run.source = box.tensor;
    run.rows = box.rows;
    run.source_row = box.row;
    run.columns = box.columns;
    run.source_column = box.column;
    const Tensor dense{"", box.rows, box.columns, false, 0, {}};
    plan_elements(dense, {{run}, {}}, catalog, 0, box.rows * box.columns, offsets[i], box.dtype,
                  pieces);
  }
}

// A batch's rows go where those of another, `rows` rows later, do.
void advance(std::uint64_t rows, const ParamPlace& place, RowBatch& batch) {
  for (RowPlace& to : batch.to) {
    to.codes += rows * place.row_bytes;
    to.scales += rows * place.scale_row_bytes;
  }
}

}  // namespace

void append_reads(const UnitReads& reads, UnitReads& to) {
  const auto before = static_cast<std::uint32_t>(to.pieces.size());
  for (Read read : reads.reads) {
    read.first_piece += before;
    to.reads.push_back(read);
  }
  to.pieces.insert(to.pieces.end(), reads.pieces.begin(), reads.pieces.end());
}

void plan_batches(const OwnedRows& owned, const Catalog& catalog, const RowBatch& first,
                  const ParamPlace& place, const ReadLimits& limits, Gaps gaps, UnitReads& plan) {
  RowBatch batch = first;
  for (std::uint64_t left = first.rows; left > 0; left -= batch.rows) {
    batch.rows = rows_of_batch(owned, batch, left, catalog, limits);
    std::vector<FilePiece> pieces;
    if (batch.source != nullptr) {
      plan_boxes(batch, catalog, pieces);
    } else {
      const std::uint64_t begin = batch.first_row * batch.columns;
      plan_elements(owned.tensor, owned.binding, catalog, begin, begin + batch.rows * batch.columns,
                    0, batch.dtype, pieces);
    }
    const UnitReads reads = coalesce(pieces, limits.batch_read_bytes, gaps);
    plan.tasks.push_back({static_cast<std::uint32_t>(plan.reads.size()),
                          static_cast<std::uint32_t>(reads.reads.size()), batch});
    append_reads(reads, plan);
    batch.first_row += batch.rows;
    (batch.transposed ? batch.source_column : batch.source_row) += batch.rows * batch.lanes;
    advance(batch.rows, place, batch);
  }
}

void plan_quantized_batches(const OwnedRows& owned, const Catalog& catalog, const RowBatch& first,
                            const ParamPlace& place, const ReadLimits& limits, Gaps gaps,
                            UnitReads& plan) {
  for (const RowRun& run : owned.binding.runs) {
    const std::uint64_t begin = std::max(run.row, owned.first);
    const std::uint64_t end = std::min(run.row + run.rows, owned.first + owned.count);
    const std::uint64_t step = run.source_stride;
    // Rows that are apart are batches of their own.
    const std::uint64_t at_once = step == first.lanes ? end : 1;
    for (std::uint64_t row = begin; row < end; row += at_once) {
      RowBatch batch = first;
      batch.source = &*owned.binding.quantized;
      const std::uint64_t source = run.source_row + (row - run.row) * step;
      batch.transposed = run.transposed;
      batch.source_row = run.transposed ? run.source_column : source;
      batch.source_column = run.transposed ? source : 0;
      batch.first_row = row;
      batch.rows = std::min(at_once, end - row);
      advance(row - owned.first, place, batch);
      plan_batches(owned, catalog, batch, place, limits, gaps, plan);
    }
  }
}

UnitReads plan_quantized_rows(const Tensor& tensor, const Binding& binding, const Catalog& catalog,
                              std::uint64_t first, std::uint64_t rows, DType dtype,
                              const ReadLimits& limits) {
  RowBatch batch;
  batch.dtype = dtype;
  batch.columns = tensor.columns;
  ParamPlace place;
  place.row_bytes = bytes_of(dtype, tensor.columns);
  UnitReads plan;
  plan_quantized_batches({tensor, binding, first, rows}, catalog, batch, place, limits,
                         Gaps::OfOtherBatches, plan);
  return plan;
}

}  // namespace initrt
