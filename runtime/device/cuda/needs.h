// What the CUDA backend allocates beside the model's buffers: told without CUDA, so that a run on
// GPUs can be planned where there is none.
#pragma once

#include <cstdint>

#include "sharding/dtype.h"
#include "sharding/memory_plan.h"

namespace initrt::cuda {

/// Matrix products run on blocks of this many rows, whatever the number of rows: the shape that an
/// algorithm is chosen for, and so the order of accumulation, is one. A GPU that reads 3 TB/s of
/// 16-bit weights has time for far more operations on them than 64 rows need.
inline constexpr std::uint64_t kRowTile = 64;

/// Workspace of matrix products: what NVIDIA recommends for Hopper (cuBLAS documentation,
/// cublasSetWorkspace).
inline constexpr std::uint64_t kWorkspaceBytes = 32u << 20;

/// The most experts that a row may choose.
inline constexpr std::uint64_t kMaxChosen = 64;

/// Pinned memory that small writes go through, and that uploaders describe pieces in.
inline constexpr std::uint64_t kWriteBytes = 1u << 20;
inline constexpr std::uint64_t kUploadTableBytes = 1u << 20;

/// How ops divide the scratch that Device::set_scratch() gives them: offsets in bytes.
struct Scratch {
  std::uint64_t rows = 0;       ///< RowInfo of each row
  std::uint64_t kept = 0;       ///< indices of rows
  std::uint64_t choices = 0;    ///< kMaxChosen of each row
  std::uint64_t workspace = 0;  ///< kWorkspaceBytes of it; with all the rest, attention's too
  std::uint64_t inputs = 0;     ///< rounded inputs of a matrix product: all the rest
};

/// @param rows the most of a sweep @throws Error where it overflows
[[nodiscard]] Scratch divide_scratch(std::uint64_t rows);

/// As Device::needs().
[[nodiscard]] DeviceNeeds needs(const ProductSizes& products);

}  // namespace initrt::cuda
