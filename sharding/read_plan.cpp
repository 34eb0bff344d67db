#include "sharding/read_plan.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "sharding/batch_plan.h"
#include "sharding/checked.h"
#include "sharding/error.h"
#include "sharding/planes.h"
#include "sharding/scale_coding.h"

namespace initrt {
namespace {

using FilePiece = std::pair<std::uint32_t, Piece>;

// `elements` elements of a plane, from element `first` after the plane's own first, `step` apart.
FilePiece make_piece(const Plane& plane, std::uint64_t first, std::uint64_t step,
                     std::uint64_t elements) {
  const DTypeInfo& type = info(plane.dtype);
  const std::uint64_t first_block = first / type.block_elements;
  const std::uint64_t end_block = (first + (elements - 1) * step) / type.block_elements + 1;
  Piece piece;
  piece.offset = plane.offset + first_block * type.block_bytes;
  piece.bytes = (end_block - first_block) * type.block_bytes;
  piece.skip = static_cast<std::uint32_t>(first % type.block_elements);
  piece.from = plane.dtype;
  piece.elements = elements;
  piece.source_step = step;
  return {plane.file, piece};
}

// The plane of a matrix's transpose.
Plane transposed(Plane plane) {
  std::swap(plane.row, plane.column);
  std::swap(plane.rows, plane.columns);
  std::swap(plane.row_step, plane.column_step);
  return plane;
}

// What is asked of a tensor: canonical elements [begin, end), of rows of `columns`.
struct Wanted {
  std::uint64_t begin = 0, end = 0, columns = 1;
  std::uint64_t destination = 0;  // bytes, of element `begin`
  DType to = DType::F32;
  ElementMap map = {};
};

// The part of a row run that a plane holds: canonical rows and columns, and the steps between their
// elements in the plane.
struct Overlap {
  std::uint64_t row = 0, row_end = 0, column = 0, column_end = 0;
  std::uint64_t first = 0;  // of (row, column), in elements from the plane's first
  std::uint64_t row_step = 1, column_step = 1;
};

Overlap overlap(const RowRun& run, const Plane& plane) {
  Overlap both;
  // The run's rows are at source_row + i x source_stride: those i that the plane holds.
  const std::uint64_t plane_row_end = plane.row + plane.rows;
  const auto rows_before = [&](std::uint64_t row) {
    const std::uint64_t rows =
        row <= run.source_row ? 0 : divide_up(row - run.source_row, run.source_stride);
    return std::min(rows, run.rows);
  };
  const std::uint64_t first_row = rows_before(plane.row);
  both.row = run.row + first_row;
  both.row_end = run.row + rows_before(plane_row_end);
  const std::uint64_t column = std::max(run.source_column, plane.column);
  const std::uint64_t column_end =
      std::min(run.source_column + run.columns, plane.column + plane.columns);
  if (both.row >= both.row_end || column >= column_end) return {};
  both.column = run.column + (column - run.source_column);
  both.column_end = both.column + (column_end - column);
  const std::uint64_t source_row = run.source_row + first_row * run.source_stride;
  both.first =
      (source_row - plane.row) * plane.row_step + (column - plane.column) * plane.column_step;
  both.row_step = plane.row_step * run.source_stride;
  both.column_step = plane.column_step;
  return both;
}

void add_piece(const Wanted& wanted, FilePiece piece, std::uint64_t element, std::uint64_t step,
               std::vector<FilePiece>& pieces) {
  piece.second.destination = wanted.destination + bytes_of(wanted.to, element - wanted.begin);
  piece.second.destination_step = step;
  piece.second.to = wanted.to;
  piece.second.map = wanted.map;
  pieces.push_back(piece);
}

// Row by row; rows that follow one another without a gap are one long row.
void add_rows(const Wanted& wanted, const Plane& plane, const Overlap& both,
              std::vector<FilePiece>& pieces) {
  const std::uint64_t columns = both.column_end - both.column;
  const bool dense = both.column_step == 1 && both.row_step == columns && columns == wanted.columns;
  const std::uint64_t rows_at_once = dense ? both.row_end - both.row : 1;
  std::uint64_t row = both.row;
  if (!dense) row = std::max(row, std::min(wanted.begin / wanted.columns, both.row_end));
  for (; row < both.row_end; row += rows_at_once) {
    const std::uint64_t start = row * wanted.columns + both.column;  // canonical element
    if (start >= wanted.end) break;
    const std::uint64_t from = std::max(start, wanted.begin);
    const std::uint64_t until = std::min(start + rows_at_once * columns, wanted.end);
    if (from >= until) continue;
    const std::uint64_t first =
        both.first + (row - both.row) * both.row_step + (from - start) * both.column_step;
    add_piece(wanted, make_piece(plane, first, both.column_step, until - from), from, 1, pieces);
  }
}

// Column by column, for matrices that are stored so: what is near in the file is one piece.
void add_columns(const Wanted& wanted, const Plane& plane, const Overlap& both,
                 std::vector<FilePiece>& pieces) {
  const auto rows_before = [&](std::uint64_t element, std::uint64_t column) {
    return element <= column ? 0 : divide_up(element - column, wanted.columns);
  };
  for (std::uint64_t column = both.column; column < both.column_end; ++column) {
    const std::uint64_t row = std::max(both.row, rows_before(wanted.begin, column));
    const std::uint64_t row_end = std::min(both.row_end, rows_before(wanted.end, column));
    if (row >= row_end) continue;
    const std::uint64_t first =
        both.first + (row - both.row) * both.row_step + (column - both.column) * both.column_step;
    add_piece(wanted, make_piece(plane, first, both.row_step, row_end - row),
              row * wanted.columns + column, wanted.columns, pieces);
  }
}

// Whether what is wanted of a plane is planned row by row. What is near enough to be one read is
// one piece where it can be: a row of a matrix that is stored by columns, a column of any.
bool is_by_rows(const Wanted& wanted, const Plane& plane, const Overlap& both) {
  const DTypeInfo& type = info(plane.dtype);
  const auto near = [&](std::uint64_t step) {
    return type.block_elements == 1 && step <= kCoalesceGapBytes / type.block_bytes;
  };
  if (both.column_end - both.column == 1 && near(both.row_step)) return false;
  if (both.column_step <= both.row_step) return true;
  const std::uint64_t row = std::max(both.row, wanted.begin / wanted.columns);
  const std::uint64_t row_end = std::min(both.row_end, divide_up(wanted.end, wanted.columns));
  return row_end <= row + 1 && near(both.column_step);
}

// Most elements of a piece that span at most max_bytes, whole blocks but for the first one's
// `skip`.
std::uint64_t elements_within(const Piece& piece, std::uint64_t max_bytes) {
  const DTypeInfo& type = info(piece.from);
  const std::uint64_t blocks = std::max<std::uint64_t>(1, max_bytes / type.block_bytes);
  if (piece.source_step > 1) return (blocks - 1) / piece.source_step + 1;
  return blocks * type.block_elements - piece.skip;
}

// Cuts a piece into pieces of at most max_bytes source bytes, at block boundaries.
void split_piece(const FilePiece& whole, std::uint64_t max_bytes, std::vector<FilePiece>& out) {
  const DTypeInfo& type = info(whole.second.from);
  FilePiece rest = whole;
  Piece& left = rest.second;
  while (left.bytes > max_bytes) {
    FilePiece head = rest;
    Piece& piece = head.second;
    piece.elements = elements_within(left, max_bytes);
    if (piece.elements >= left.elements) break;
    const std::uint64_t end = (left.skip + piece.elements * left.source_step) / type.block_elements;
    const std::uint64_t last =
        (left.skip + (piece.elements - 1) * left.source_step) / type.block_elements;
    piece.bytes = (last + 1) * type.block_bytes;
    left.offset += end * type.block_bytes;
    left.bytes -= end * type.block_bytes;
    left.skip = 0;
    left.elements -= piece.elements;
    left.destination += bytes_of(left.to, piece.elements * left.destination_step);
    out.push_back(head);
  }
  out.push_back(rest);
}

std::uint64_t max_gap(const Piece& piece, Gaps gaps) {
  switch (gaps) {
    case Gaps::OfNobody:
      return kCoalesceGapBytes;
    case Gaps::OfOtherBatches:
      return std::min(kCoalesceGapBytes, kBatchGapTimes * piece.bytes);
    case Gaps::OfOtherRanks:
      break;
  }
  return std::min(kCoalesceGapBytes, piece.bytes / kSharedGapPart);
}

// The parameter whose rows are stored in turns with these, this one's first: gate and up
// projections of some experts. Both in one batch, their rows are read once and many at a time.
std::optional<std::size_t> in_turns_with(const Graph& graph, const Layout& layout,
                                         const Bindings& bindings, std::uint32_t unit,
                                         std::size_t param) {
  const std::vector<Param>& params = graph.units[unit].params;
  const auto run_of = [&](std::size_t i) -> const RowRun* {
    const Binding& binding = bindings.tensors[params[i].tensor];
    const bool one = binding.quantized && binding.runs.size() == 1;
    return one && binding.runs[0].source_stride == 2 ? &binding.runs[0] : nullptr;
  };
  const RowRun* const first = run_of(param);
  if (first == nullptr) return {};
  for (std::size_t i = param + 1; i < params.size(); ++i) {
    const RowRun* const run = run_of(i);
    if (run == nullptr || run->source != first->source ||
        run->source_row != first->source_row + 1 || run->rows != first->rows) {
      continue;
    }
    const bool alike =
        params[i].row_begin == params[param].row_begin && params[i].rows == params[param].rows &&
        layout.units[unit].params[i].format == layout.units[unit].params[param].format;
    if (alike) return i;
  }
  return {};
}

// Where the rows of a format go that has coded scales: these are floats first, in the unit's own.
void place_float_scales(const std::vector<CodedScales>& scales, std::size_t param, RowPlace& to,
                        ParamPlace& place) {
  const auto found = std::ranges::find(scales, param, &CodedScales::param);
  if (found == scales.end()) return;
  to.scales = found->floats;
  place.scale_row_bytes = found->row_scales * sizeof(float);
}

// All of the rows, which go nowhere yet.
RowBatch batch_of(const OwnedRows& owned, std::uint32_t tensor, WeightFormat format, DType dtype) {
  RowBatch batch;
  batch.format = format;
  batch.dtype = dtype;
  batch.tensor = tensor;
  batch.first_row = owned.first;
  batch.rows = owned.count;
  batch.columns = batch.width = owned.tensor.columns;
  return batch;
}

}  // namespace

std::uint64_t UnitReads::bytes() const {
  std::uint64_t sum = 0;
  for (const Read& read : reads) sum += read.bytes;
  return sum;
}

StagingRing make_staging_ring(std::uint64_t budget) {
  constexpr std::uint64_t kBlock = 4u << 20;
  constexpr std::uint64_t kSmallBlock = 32u << 10;
  constexpr std::uint64_t kMaxBlocks = 16;
  if (budget < kMinStagingBytes) {
    fail("load.staging is {} bytes; the least is {}", budget, kMinStagingBytes);
  }
  StagingRing ring;
  ring.blocks = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
      budget / kBlock, std::min<std::uint64_t>(4, budget / kSmallBlock), kMaxBlocks));
  ring.block_bytes = std::min(kBlock, budget / ring.blocks / 4096 * 4096);
  return ring;
}

void plan_elements(const Tensor& tensor, const Binding& binding, const Catalog& catalog,
                   std::uint64_t begin, std::uint64_t end, std::uint64_t destination, DType to,
                   std::vector<FilePiece>& pieces) {
  if (binding.quantized) fail("{} is stored as codes, which are no elements", tensor.name);
  for (const RowRun& run : binding.runs) {
    const Wanted wanted{begin, end, tensor.columns, destination, to, run.map};
    const TensorEntry& source = catalog.tensors[run.source];
    for (const TensorPart& part : source.parts) {
      for_each_plane(source, part, tensor.vector, [&](const Plane& stored) {
        const Plane plane = run.transposed ? transposed(stored) : stored;
        const Overlap both = overlap(run, plane);
        if (both.row >= both.row_end) return;
        (is_by_rows(wanted, plane, both) ? add_rows : add_columns)(wanted, plane, both, pieces);
      });
    }
  }
}

UnitReads coalesce(const std::vector<FilePiece>& pieces, std::uint64_t max_read_bytes, Gaps gaps) {
  std::vector<FilePiece> sorted;
  sorted.reserve(pieces.size());
  for (const FilePiece& piece : pieces) split_piece(piece, max_read_bytes, sorted);
  std::sort(sorted.begin(), sorted.end(), [](const FilePiece& a, const FilePiece& b) {
    return std::tie(a.first, a.second.offset, a.second.destination) <
           std::tie(b.first, b.second.offset, b.second.destination);
  });
  UnitReads plan;
  plan.pieces.reserve(sorted.size());
  for (const auto& [file, piece] : sorted) {
    const std::uint64_t piece_end = piece.offset + piece.bytes;
    Read* last = plan.reads.empty() ? nullptr : &plan.reads.back();
    const bool joins = last != nullptr && last->file == file &&
                       piece.offset <= last->offset + last->bytes + max_gap(piece, gaps) &&
                       piece_end - last->offset <= max_read_bytes;
    if (joins) {
      last->bytes = std::max(last->bytes, piece_end - last->offset);
      ++last->pieces;
    } else {
      plan.reads.push_back(
          {file, piece.offset, piece.bytes, static_cast<std::uint32_t>(plan.pieces.size()), 1});
    }
    plan.pieces.push_back(piece);
  }
  return plan;
}

UnitReads plan_reads(const Graph& graph, const Layout& layout, const Cut& cut,
                     const Bindings& bindings, const Catalog& catalog, std::uint32_t unit,
                     std::uint32_t rank, const ReadLimits& limits) {
  std::vector<FilePiece> pieces;
  UnitReads plan;
  std::set<std::size_t> made_before;  // with another parameter
  const bool alone = cut.world == 1;
  const Gaps gaps = alone ? Gaps::OfOtherBatches : Gaps::OfOtherRanks;
  const std::vector<CodedScales> coded = unit_scales(graph, layout, unit, cut.world).params;
  for (std::size_t i = 0; i < graph.units[unit].params.size(); ++i) {
    const Param& param = graph.units[unit].params[i];
    const auto [first, count] = cut.rows_of(unit, i, param.rows, rank);
    if (count == 0) continue;
    ParamPlace place = layout.units[unit].params[i];
    const OwnedRows owned{graph.tensor_of(param), bindings.tensors[param.tensor],
                          param.row_begin + first, count};
    const std::uint64_t chunk = cut.chunk_offset(unit, rank);
    const ParamCut& placed = cut.units[unit].params[i];
    if (made_before.contains(i)) continue;
    RowBatch batch = batch_of(owned, param.tensor, place.format, layout.dtype);
    batch.to[0] = {chunk + placed.offset, chunk + placed.scales_offset};
    place_float_scales(coded, i, batch.to[0], place);
    if (const auto other = in_turns_with(graph, layout, bindings, unit, i)) {
      const ParamCut& beside = cut.units[unit].params[*other];
      batch.to[1] = {chunk + beside.offset, chunk + beside.scales_offset};
      place_float_scales(coded, *other, batch.to[1], place);
      batch.lanes = 2;
      made_before.insert(*other);
    }
    if (owned.binding.quantized) {
      plan_quantized_batches(owned, catalog, batch, place, limits, gaps, plan);
    } else if (place.scale_row_bytes > 0) {
      plan_batches(owned, catalog, batch, place, limits, gaps, plan);
    } else {
      plan_elements(owned.tensor, owned.binding, catalog, owned.begin(), owned.end(),
                    chunk + placed.offset, dtype_of(place.format, layout.dtype), pieces);
    }
  }
  const UnitReads plain =
      coalesce(pieces, limits.read_bytes, alone ? Gaps::OfNobody : Gaps::OfOtherRanks);
  for (std::uint32_t read = 0; read < plain.reads.size(); ++read) {
    plan.tasks.push_back({static_cast<std::uint32_t>(plan.reads.size()) + read, 1, {}});
  }
  append_reads(plain, plan);
  std::stable_sort(plan.tasks.begin(), plan.tasks.end(), [&](const ReadTask& a, const ReadTask& b) {
    const Read &left = plan.reads[a.first_read], &right = plan.reads[b.first_read];
    return std::tie(left.file, left.offset) < std::tie(right.file, right.offset);
  });
  return plan;
}

}  // namespace initrt
