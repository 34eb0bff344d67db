// Rows as a cut leaves them: what kernels and the embedding read a unit's parameters by.
#pragma once

#include <cstddef>
#include <cstdint>

namespace initrt {

/// A parameter's rows where they lie: in blocks, one of each rank. Does not own them.
struct RowBlocks {
  const std::byte* base = nullptr;  ///< of the first block; null: no parameter
  std::uint64_t rows = UINT64_MAX;  ///< of a block; the last blocks may hold fewer, or none
  std::uint64_t stride = 0;         ///< bytes from block to block

  RowBlocks() = default;
  /// All rows one after the other.
  RowBlocks(const std::byte* dense) : base(dense) {}  // NOLINT(google-explicit-constructor)
  RowBlocks(const std::byte* first, std::uint64_t block_rows, std::uint64_t block_stride)
      : base(first), rows(block_rows), stride(block_stride) {}

  [[nodiscard]] explicit operator bool() const { return base != nullptr; }
  /// @param row_bytes of each row; rows of a block are dense
  [[nodiscard]] const std::byte* row(std::uint64_t index, std::uint64_t row_bytes) const {
    return base + index / rows * stride + index % rows * row_bytes;
  }
};

/// A whole unit where it lies: the ranks' chunks in rank order.
struct WholeUnit {
  const std::byte* base = nullptr;  ///< rank 0's chunk
  std::uint64_t stride = 0;         ///< bytes from chunk to chunk
};

}  // namespace initrt
