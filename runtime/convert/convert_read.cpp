// The pieces of one read, each converted to where it belongs: as a whole where its elements follow
// one another on both sides, one by one or in tiles where they do not.
#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/convert/convert.h"
#include "runtime/convert/decode.h"
#include "sharding/checked.h"

namespace initrt {
namespace {

constexpr std::uint64_t kTile = 256;  // elements gathered at once

/// Elements [begin, begin + elements) of a piece whose neighbours follow one another in the file.
/// @param in the piece's bytes
void convert_some(std::span<const std::byte> in, const Piece& piece, std::uint64_t begin,
                  std::uint64_t elements, std::byte* out, DType to) {
  const DTypeInfo& type = info(piece.from);
  const std::uint64_t first = piece.skip + begin;
  const std::uint64_t block = first / type.block_elements;
  const std::uint64_t blocks = divide_up(first + elements, type.block_elements) - block;
  convert(in.subspan(block * type.block_bytes, blocks * type.block_bytes), piece.from,
          static_cast<std::uint32_t>(first % type.block_elements), elements, out, to);
}

/// Elements of a plain dtype, each mapped in float32 where the map changes any.
void convert_mapped(std::span<const std::byte> in, DType from, std::uint64_t elements,
                    const ElementMap& map, std::byte* out, DType to) {
  if (!map.changes()) {
    convert(in, from, 0, elements, out, to);
    return;
  }
  std::array<float, kTile> values;
  auto* const bytes = reinterpret_cast<std::byte*>(values.data());
  convert(in, from, 0, elements, bytes, DType::F32);
  for (std::uint64_t i = 0; i < elements; ++i) values[i] = decode::mapped(map, values[i]);
  convert({bytes, elements * sizeof(float)}, DType::F32, 0, elements, out, to);
}

/// The elements of a piece whose neighbours are not next to one another, on either side, or which
/// are mapped.
void convert_apart(std::span<const std::byte> in, const Piece& piece, std::byte* out, DType to) {
  const std::uint64_t in_bytes = info(piece.from).block_bytes, out_bytes = info(to).block_bytes;
  std::array<std::byte, kTile * sizeof(double)> gathered;
  std::array<std::byte, kTile * sizeof(double)> converted;
  for (std::uint64_t begin = 0; begin < piece.elements; begin += kTile) {
    const std::uint64_t elements = std::min(kTile, piece.elements - begin);
    if (piece.source_step == 1 && !piece.map.changes()) {
      convert_some(in, piece, begin, elements, converted.data(), to);
    } else {  // of a plain dtype
      const std::byte* from = in.data() + begin * piece.source_step * in_bytes;
      for (std::uint64_t i = 0; i < elements; ++i) {
        std::memcpy(gathered.data() + i * in_bytes, from + i * piece.source_step * in_bytes,
                    in_bytes);
      }
      const auto read = std::span(gathered).first(elements * in_bytes);
      convert_mapped(read, piece.from, elements, piece.map, converted.data(), to);
    }
    std::byte* const scattered = out + begin * piece.destination_step * out_bytes;
    for (std::uint64_t i = 0; i < elements; ++i) {
      std::memcpy(scattered + i * piece.destination_step * out_bytes,
                  converted.data() + i * out_bytes, out_bytes);
    }
  }
}

/// Lines of a transposed matrix go through tiles of this many lines and elements: what is written
/// together is a cache line or two, where an element by itself would touch one for its own.
constexpr std::uint64_t kSide = 64;

/// How many of the pieces, from the first on, are neighbouring columns of the destination, each a
/// line of the source; at most kSide.
std::size_t count_columns(std::span<const Piece> pieces, std::uint64_t out_bytes) {
  const Piece& first = pieces.front();
  if (first.source_step != 1 || first.destination_step == 1 || first.map.changes()) return 0;
  std::size_t count = 1;
  while (count < std::min<std::size_t>(pieces.size(), kSide)) {
    const Piece& next = pieces[count];
    if (next.source_step != 1 || next.destination_step != first.destination_step ||
        next.elements != first.elements || next.from != first.from || next.to != first.to ||
        next.map.changes() || next.destination != first.destination + count * out_bytes) {
      break;
    }
    ++count;
  }
  return count;
}

/// Writes the columns, elements of `OutBytes` bytes, row by row of the destination.
template <std::uint64_t OutBytes>
void convert_columns(std::span<const std::byte> read, std::uint64_t read_offset,
                     std::span<const Piece> columns, std::byte* to, DType dtype) {
  alignas(64) std::array<std::byte, kSide * kSide * OutBytes> tile;
  const Piece& first = columns.front();
  for (std::uint64_t begin = 0; begin < first.elements; begin += kSide) {
    const std::uint64_t elements = std::min(kSide, first.elements - begin);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      convert_some(read.subspan(columns[c].offset - read_offset, columns[c].bytes), columns[c],
                   begin, elements, tile.data() + c * kSide * OutBytes, dtype);
    }
    std::byte* row = to + first.destination + begin * first.destination_step * OutBytes;
    for (std::uint64_t i = 0; i < elements; ++i, row += first.destination_step * OutBytes) {
      for (std::size_t c = 0; c < columns.size(); ++c) {
        std::memcpy(row + c * OutBytes, tile.data() + (c * kSide + i) * OutBytes, OutBytes);
      }
    }
  }
}

using ColumnsKernel = void (*)(std::span<const std::byte>, std::uint64_t, std::span<const Piece>,
                               std::byte*, DType);

ColumnsKernel columns_kernel(std::uint64_t out_bytes) {
  switch (out_bytes) {
    case 1:
      return convert_columns<1>;
    case 2:
      return convert_columns<2>;
    case 4:
      return convert_columns<4>;
    default:
      return convert_columns<8>;
  }
}

}  // namespace

std::uint64_t convert_read(const UnitReads& plan, const Read& read,
                           std::span<const std::byte> bytes, std::byte* to) {
  std::uint64_t written = 0;
  std::span<const Piece> left = std::span(plan.pieces).subspan(read.first_piece, read.pieces);
  while (!left.empty()) {
    const Piece& piece = left.front();
    const DType dtype = piece.to;
    const std::uint64_t out_bytes = info(dtype).block_bytes;
    std::size_t done = 1;
    const std::span<const std::byte> in = bytes.subspan(piece.offset - read.offset, piece.bytes);
    if (piece.source_step == 1 && piece.destination_step == 1 && !piece.map.changes()) {
      convert(in, piece.from, piece.skip, piece.elements, to + piece.destination, dtype);
    } else if (const std::size_t columns = count_columns(left, out_bytes); columns > 1) {
      done = columns;
      columns_kernel(out_bytes)(bytes, read.offset, left.first(columns), to, dtype);
    } else {
      convert_apart(in, piece, to + piece.destination, dtype);
    }
    written += done * bytes_of(dtype, piece.elements);
    left = left.subspan(done);
  }
  return written;
}

}  // namespace initrt
