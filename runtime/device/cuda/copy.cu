// Copies of many pieces of any length and alignment, by words as wide as both ends allow.
#include <algorithm>
#include <array>

#include "runtime/device/cuda/grid.cuh"
#include "runtime/device/cuda/kernels.h"

namespace initrt::cuda {
namespace {

/// Bytes of one piece that a block copies: four words of 16 bytes for each thread.
constexpr std::uint64_t kSpan = kThreads * 64;

/// A row of a piece.
struct Row {
  const std::byte* from;
  std::byte* to;
};

/// Bytes [begin, end) of a row, which is aligned for Word at both ends alike: single bytes up to
/// the first whole word and behind the last, at most 15 of each, words between.
template <class Word>
__device__ void copy_span(const Row& piece, std::uint64_t begin, std::uint64_t end) {
  constexpr std::uint64_t kBytes = sizeof(Word);
  const std::uint64_t misaligned = reinterpret_cast<std::uintptr_t>(piece.to + begin) % kBytes;
  const std::uint64_t head = begin + (kBytes - misaligned) % kBytes;
  const std::uint64_t first = head < end ? head : end;
  const std::uint64_t words = (end - first) / kBytes;
  const auto* const from = reinterpret_cast<const Word*>(piece.from + first);
  auto* const to = reinterpret_cast<Word*>(piece.to + first);
  for (std::uint64_t i = threadIdx.x; i < words; i += kThreads) to[i] = from[i];
  if constexpr (kBytes > 1) {
    const std::uint64_t left = begin + threadIdx.x, right = first + words * kBytes + threadIdx.x;
    if (left < first) piece.to[left] = piece.from[left];
    if (right < end) piece.to[right] = piece.from[right];
  }
}

__device__ void copy_row(const Row& row, std::uint64_t begin, std::uint64_t end) {
  const std::uint64_t apart =
      reinterpret_cast<std::uintptr_t>(row.from) ^ reinterpret_cast<std::uintptr_t>(row.to);
  if (apart % 16 == 0) {
    copy_span<uint4>(row, begin, end);
  } else if (apart % 4 == 0) {
    copy_span<std::uint32_t>(row, begin, end);
  } else if (apart % 2 == 0) {
    copy_span<std::uint16_t>(row, begin, end);
  } else {
    copy_span<std::byte>(row, begin, end);
  }
}

/// What a kernel takes as its argument, of which there may be 4 KiB, and which a graph keeps.
template <int kMost>
struct CopyPieces {
  std::array<CopyPiece, kMost> pieces;
};
constexpr std::size_t kFewPieces = 4, kManyPieces = 64;

template <int kMost>
__global__ void __launch_bounds__(kThreads)
    copy_pieces(CopyPieces<kMost> all, std::uint64_t count) {
  const std::uint64_t begin = std::uint64_t{blockIdx.x} * kSpan;
  for (std::uint64_t i = blockIdx.y; i < count; i += gridDim.y) {
    const CopyPiece& piece = all.pieces[i];
    if (begin >= piece.bytes) continue;
    const std::uint64_t end = begin + kSpan < piece.bytes ? begin + kSpan : piece.bytes;
    for (std::uint64_t row = blockIdx.z; row < piece.rows; row += gridDim.z) {
      copy_row({piece.from + row * piece.from_stride, piece.to + row * piece.to_stride}, begin,
               end);
    }
  }
}

template <int kMost>
void copy_at_once(cudaStream_t stream, std::span<const CopyPiece> pieces) {
  CopyPieces<kMost> some{};
  std::ranges::copy(pieces, some.pieces.begin());
  std::uint64_t longest = 0, most_rows = 1;
  for (const CopyPiece& piece : pieces) {
    longest = std::max(longest, piece.bytes);
    most_rows = std::max(most_rows, piece.rows);
  }
  if (longest == 0) return;
  const dim3 grid(static_cast<unsigned>((longest + kSpan - 1) / kSpan),
                  static_cast<unsigned>(pieces.size()),
                  static_cast<unsigned>(std::min<std::uint64_t>(most_rows, 64)));
  launch<copy_pieces<kMost>>(grid, kThreads, 0, stream, some, std::uint64_t{pieces.size()});
}

}  // namespace

void copy(cudaStream_t stream, std::span<const CopyPiece> pieces) {
  while (!pieces.empty()) {
    const auto some = pieces.first(std::min(pieces.size(), kManyPieces));
    pieces = pieces.subspan(some.size());
    if (some.size() <= kFewPieces) {
      copy_at_once<kFewPieces>(stream, some);
    } else {
      copy_at_once<kManyPieces>(stream, some);
    }
  }
}

}  // namespace initrt::cuda
