#include "sharding/read_plan.h"

#include <algorithm>
#include <tuple>

#include "sharding/error.h"

namespace initrt {
namespace {

using FilePiece = std::pair<std::uint32_t, Piece>;

// Source elements [first, first + elements) of a tensor, widened to whole blocks.
FilePiece make_piece(const TensorEntry& source, std::uint64_t first, std::uint64_t elements,
                     std::uint64_t destination) {
  const DTypeInfo& type = info(source.dtype);
  const std::uint64_t first_block = first / type.block_elements;
  const std::uint64_t end_block = (first + elements - 1) / type.block_elements + 1;
  Piece piece;
  piece.offset = source.offset + first_block * type.block_bytes;
  piece.bytes = (end_block - first_block) * type.block_bytes;
  piece.skip = static_cast<std::uint32_t>(first % type.block_elements);
  piece.from = source.dtype;
  piece.elements = elements;
  piece.destination = destination;
  return {source.file, piece};
}

// Cuts a piece into pieces of at most max_bytes source bytes, at block boundaries.
void split_piece(const FilePiece& whole, DType to, std::uint64_t max_bytes,
                 std::vector<FilePiece>& out) {
  const DTypeInfo& type = info(whole.second.from);
  const std::uint64_t most_blocks = std::max<std::uint64_t>(1, max_bytes / type.block_bytes);
  FilePiece rest = whole;
  while (rest.second.bytes > most_blocks * type.block_bytes) {
    FilePiece head = rest;
    head.second.bytes = most_blocks * type.block_bytes;
    head.second.elements = most_blocks * type.block_elements - rest.second.skip;
    rest.second.offset += head.second.bytes;
    rest.second.bytes -= head.second.bytes;
    rest.second.skip = 0;
    rest.second.elements -= head.second.elements;
    rest.second.destination += bytes_of(to, head.second.elements);
    out.push_back(head);
  }
  out.push_back(rest);
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
  constexpr std::uint64_t kMostBlocks = 16;
  if (budget < kLeastStagingBytes) {
    fail("load.staging is {} bytes; the least is {}", budget, kLeastStagingBytes);
  }
  StagingRing ring;
  ring.blocks = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
      budget / kBlock, std::min<std::uint64_t>(4, budget / kSmallBlock), kMostBlocks));
  ring.block_bytes = std::min(kBlock, budget / ring.blocks / 4096 * 4096);
  return ring;
}

void plan_elements(const Tensor& tensor, const Binding& binding, const Catalog& catalog,
                   std::uint64_t begin, std::uint64_t end, std::uint64_t destination, DType to,
                   std::vector<FilePiece>& pieces) {
  const std::uint64_t columns = tensor.columns;
  for (const RowRun& run : binding.runs) {
    const TensorEntry& source = catalog.tensors[run.source];
    const std::uint64_t source_columns = tensor.vector ? 1 : source.shape.back();
    const bool dense =
        run.source_stride == 1 && run.columns == columns && source_columns == columns;
    // A dense run is one long row.
    const std::uint64_t length = dense ? run.rows * columns : run.columns;
    const std::uint64_t first_row =
        dense ? run.row : std::max(run.row, std::min(begin / columns, run.row + run.rows));
    for (std::uint64_t row = first_row; row < run.row + run.rows; row += dense ? run.rows : 1) {
      const std::uint64_t start = row * columns + run.column;  // canonical element
      if (start >= end) break;
      const std::uint64_t from = std::max(start, begin);
      const std::uint64_t until = std::min(start + length, end);
      if (from >= until) continue;
      const std::uint64_t source_row = run.source_row + (row - run.row) * run.source_stride;
      const std::uint64_t first = source_row * source_columns + run.source_column + (from - start);
      pieces.push_back(
          make_piece(source, first, until - from, destination + bytes_of(to, from - begin)));
    }
  }
}

UnitReads coalesce(std::vector<FilePiece> pieces, DType to, std::uint64_t max_read_bytes) {
  std::vector<FilePiece> sorted;
  sorted.reserve(pieces.size());
  for (const FilePiece& piece : pieces) split_piece(piece, to, max_read_bytes, sorted);
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
                       piece.offset <= last->offset + last->bytes + kCoalesceGapBytes &&
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
                     std::uint32_t rank, std::uint64_t max_read_bytes) {
  const UnitCut& placed = cut.units[unit];
  const std::uint64_t chunk_begin = rank * placed.chunk_bytes;
  const std::uint64_t chunk_end = chunk_begin + placed.chunk_bytes;
  const std::uint64_t element_bytes = info(layout.dtype).block_bytes;
  std::vector<FilePiece> pieces;
  for (std::size_t i = 0; i < graph.units[unit].params.size(); ++i) {
    const Param& param = graph.units[unit].params[i];
    const ParamPlace& place = layout.units[unit].params[i];
    const std::uint64_t from = std::max(place.offset, chunk_begin);
    const std::uint64_t until = std::min(place.offset + place.bytes, chunk_end);
    if (from >= until) continue;
    // Chunk and parameter boundaries are multiples of 256 bytes, so elements are never cut.
    const Tensor& tensor = graph.tensor_of(param);
    const std::uint64_t base = param.row_begin * tensor.columns;
    plan_elements(tensor, bindings.tensors[param.tensor], catalog,
                  base + (from - place.offset) / element_bytes,
                  base + (until - place.offset) / element_bytes,
                  cut.chunk_offset(unit, rank) + (from - chunk_begin), layout.dtype, pieces);
  }
  return coalesce(std::move(pieces), layout.dtype, max_read_bytes);
}

}  // namespace initrt
