#include "sharding/batch_plan.h"

#include <algorithm>
#include <numeric>

#include "sharding/checked.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using FilePiece = std::pair<std::uint32_t, Piece>;

// What is read of a stored row at once, where that could be more.
constexpr std::uint64_t kLeastPieceBytes = 8u << 10;

// The widest dtype that a tensor's elements are stored in, in bits.
std::uint64_t bits_stored(const Binding& binding, const Catalog& catalog) {
  std::uint64_t most = 0;
  for (const RowRun& run : binding.runs) {
    const DTypeInfo& type = info(catalog.tensors[run.source].dtype);
    most = std::max<std::uint64_t>(most, divide_up(8 * type.block_bytes, type.block_elements));
  }
  return most;
}

// Rows that share scales or words are one batch's, where that is possible.
std::uint64_t without_part_of_a_step(const RowBatch& batch) {
  const bool is_source_rows = batch.source != nullptr && !batch.transposed && batch.lanes == 1;
  const std::uint64_t step = is_source_rows ? batch.source->row_step() : 1;
  const std::uint64_t over = (batch.source_row + batch.rows) % step;
  return over < batch.rows ? batch.rows - over : batch.rows;
}

// The most memory that any of the slabs takes that a batch's rows are made in, of so many columns
// each. The last one has fewer, so that its tiles may have more rows; slabs that end at no group's
// end may need one more group's scales than the first.
std::uint64_t memory_of_slabs(RowBatch batch) {
  const std::uint64_t of_first = divide_batch_memory(batch).bytes;
  if (batch.columns == batch.width) return of_first;
  const std::uint64_t block = batch.source->block_columns, columns = batch.columns;
  const auto memory_at = [&](std::uint64_t first) {
    batch.source_column = first;
    batch.columns = std::min(columns, batch.width - first);
    return divide_batch_memory(batch).bytes;
  };
  const std::uint64_t most = std::max(of_first, memory_at((batch.width - 1) / columns * columns));
  if (columns % block == 0) return most;
  std::uint64_t groups = 0, first = 0;
  for (std::uint64_t begin = 0; begin + columns <= batch.width; begin += columns) {
    const std::uint64_t of_slab = (begin + columns - 1) / block - begin / block + 1;
    if (of_slab > groups) {
      groups = of_slab;
      first = begin;
    }
  }
  return std::max(most, memory_at(first));
}

// Of rows of so many columns, how many are one batch: as many as fit a block's half and, where they
// are read as they are, one read.
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
    const std::uint64_t bytes = memory_of_slabs(batch);
    if (bytes <= limits.batch_bytes) break;
    if (batch.rows == 1) {
      fail(
          "load.staging is too small for {}: the least that can be made of it takes {} bytes of "
          "the {} that half a block has",
          owned.tensor.name, bytes, limits.batch_bytes);
    }
    batch.rows = std::max<std::uint64_t>(batch.rows - divide_up(batch.rows, 8), 1);
  }
  return batch.rows < most ? without_part_of_a_step(batch) : batch.rows;
}

// Whether part of the columns may be made of all of a batch's rows, and at multiples of how many;
// all of them else.
std::uint64_t columns_of_step(const RowBatch& batch) {
  if (batch.source == nullptr || batch.transposed) return batch.width;
  const std::uint64_t stored = batch.source->column_step(), held = column_step(batch.format);
  return stored == 0 || held == 0 ? batch.width : std::min(std::lcm(stored, held), batch.width);
}

// The most columns of which a batch's rows fit a block's half: of as many batches as it takes,
// which are about alike. 0: not even one step.
std::uint64_t columns_that_fit(RowBatch batch, std::uint64_t step, const ReadLimits& limits) {
  const auto fits = [&](std::uint64_t steps) {
    batch.columns = std::min(steps * step, batch.width);
    return memory_of_slabs(batch) <= limits.batch_bytes;
  };
  if (!fits(1)) return 0;
  const std::uint64_t steps = divide_up(batch.width, step);
  std::uint64_t batches = 1;
  while (!fits(divide_up(steps, batches))) batches += divide_up(batches, 8);
  return batch.columns;
}

struct Extent {
  std::uint64_t rows = 0, columns = 0;
};

// What is one batch of `most` rows that follow one another: whole rows; or of a weight that is
// stored by columns a slab, all the rows and some columns, so that what is read of a stored row is
// long, and of neighbouring ones of a rank alone one read.
Extent extent_of_batch(const OwnedRows& owned, RowBatch batch, std::uint64_t most,
                       const Catalog& catalog, const ReadLimits& limits) {
  const std::uint64_t step = columns_of_step(batch);
  if (step == batch.width) return {rows_of_batch(owned, batch, most, catalog, limits), step};
  // Columns that share scales are one batch's: of fewer and fewer of the rows, as long as pieces of
  // a stored row are not small.
  const std::uint64_t shared = std::min(batch.source->block_columns, batch.width);
  const std::uint64_t group = std::min(std::lcm(step, shared), batch.width);
  const auto stored_row_bytes = [&] {
    const SourceBox codes = source_boxes(*batch.source, batch.source_part()).front();
    return bytes_of(codes.dtype, codes.columns);
  };
  batch.columns = group;
  for (std::uint64_t batches = 1; batches <= most; ++batches) {
    batch.rows = most;
    if (batches > 1) {  // no fewer than their part, so that no few are left over
      batch.rows = std::min(most, divide_up(most, batches) + batch.source->row_step() - 1);
      batch.rows = without_part_of_a_step(batch);
    }
    if (batches > 1 && stored_row_bytes() < kLeastPieceBytes) break;
    const std::uint64_t columns = columns_that_fit(batch, group, limits);
    if (columns > 0) return {batch.rows, columns};
  }
  // Else parts of what shares scales, which each of them reads.
  batch.columns = step;
  batch.rows = rows_of_batch(owned, batch, most, catalog, limits);
  return {batch.rows, columns_that_fit(batch, step, limits)};
}

// The pieces of a weight's boxes, each of which lies densely in the batch's memory.
void plan_boxes(const RowBatch& batch, const Catalog& catalog, std::vector<FilePiece>& pieces) {
  const std::vector<SourceBox> boxes = source_boxes(*batch.source, batch.source_part());
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

// One batch, whose extent is known.
void plan_batch(const OwnedRows& owned, const Catalog& catalog, const RowBatch& batch,
                const ReadLimits& limits, Gaps gaps, UnitReads& plan) {
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
    const Extent extent = extent_of_batch(owned, batch, left, catalog, limits);
    batch.rows = extent.rows;
    for (std::uint64_t column = 0; column < batch.width; column += extent.columns) {
      RowBatch part = batch;
      part.columns = std::min(extent.columns, batch.width - column);
      part.first_column += column;
      if (!batch.transposed) part.source_column += column;
      plan_batch(owned, catalog, part, limits, gaps, plan);
    }
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
  batch.columns = batch.width = tensor.columns;
  ParamPlace place;
  place.row_bytes = bytes_of(dtype, tensor.columns);
  UnitReads plan;
  plan_quantized_batches({tensor, binding, first, rows}, catalog, batch, place, limits,
                         Gaps::OfOtherBatches, plan);
  return plan;
}

}  // namespace initrt
