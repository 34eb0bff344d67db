// Where sequences begin and end among a sweep's rows, which are neighbours in each.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "runtime/device/ops.h"

namespace initrt::cuda {

/// Whether a row is the first of its sequence among those at hand, which are neighbours.
__device__ __forceinline__ bool begins(const RowInfo* rows, std::uint64_t row) {
  return row == 0 || rows[row].sequence != rows[row - 1].sequence;
}

/// One past the last row of the sequence that begins with `row`.
__device__ __forceinline__ std::uint64_t end_of(const RowInfo* rows, std::uint64_t count,
                                                std::uint64_t row) {
  std::uint64_t end = row + 1;
  while (end < count && rows[end].sequence == rows[row].sequence) ++end;
  return end;
}

}  // namespace initrt::cuda
