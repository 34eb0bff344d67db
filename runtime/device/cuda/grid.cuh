// Launches of ops that are the same for each element: over one range, or over rows and columns. An
// op is a struct of pointers with a device function at<kCount>(), which does kCount neighbours at
// once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/device/cuda/launch.h"

namespace initrt::cuda {

inline constexpr unsigned kThreads = 256;
/// Blocks of a grid-stride loop: enough to fill any GPU several times over.
inline constexpr std::uint64_t kBlocksAtMost = 4096;
/// What a grid's second dimension holds.
inline constexpr std::uint64_t kRowsAtMost = 65535;
/// Neighbours that one thread does where pointers are aligned.
inline constexpr int kVector = 4;

template <int kCount, class Op>
__global__ void __launch_bounds__(kThreads) each(Op op, std::uint64_t elements) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x * kCount;
  for (std::uint64_t i = (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kCount;
       i < elements; i += step) {
    if (kCount == 1 || i + kCount <= elements) {
      op.template at<kCount>(i);
    } else {
      for (std::uint64_t j = i; j < elements; ++j) op.template at<1>(j);
    }
  }
}

/// Calls op.at<n>(i) for all i < elements.
/// @param aligned whether kCount elements can be accessed at once at multiples of kCount
template <int kCount = kVector, class Op>
void launch_each(cudaStream_t stream, const Op& op, std::uint64_t elements, bool aligned) {
  if (elements == 0) return;
  const std::uint64_t per_block = std::uint64_t{kThreads} * (aligned ? kCount : 1);
  const auto blocks =
      static_cast<unsigned>(std::min(kBlocksAtMost, (elements + per_block - 1) / per_block));
  if (aligned) {
    launch<each<kCount, Op>>(blocks, kThreads, 0, stream, op, elements);
  } else {
    launch<each<1, Op>>(blocks, kThreads, 0, stream, op, elements);
  }
}

template <int kCount, class Op>
__global__ void __launch_bounds__(kThreads)
    each_of_rows(Op op, std::uint64_t rows, std::uint64_t columns) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x * kCount;
  const std::uint64_t first = (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kCount;
  for (std::uint64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    for (std::uint64_t column = first; column < columns; column += step) {
      if (kCount == 1 || column + kCount <= columns) {
        op.template at<kCount>(row, column);
      } else {
        for (std::uint64_t j = column; j < columns; ++j) op.template at<1>(row, j);
      }
    }
  }
}

/// Calls op.at<n>(row, column) for all of them.
/// @param aligned whether kCount elements can be accessed at once at multiples of kCount of any row
template <int kCount = kVector, class Op>
void launch_each_of_rows(cudaStream_t stream, const Op& op, std::uint64_t rows,
                         std::uint64_t columns, bool aligned) {
  if (rows == 0 || columns == 0) return;
  const std::uint64_t columns_per_thread = aligned ? kCount : 1;
  const std::uint64_t threads = (columns + columns_per_thread - 1) / columns_per_thread;
  const auto block =
      static_cast<unsigned>(std::min<std::uint64_t>(kThreads, (threads + 31) / 32 * 32));
  const dim3 grid(static_cast<unsigned>(std::min(kBlocksAtMost, (threads + block - 1) / block)),
                  static_cast<unsigned>(std::min(kRowsAtMost, rows)));
  if (aligned) {
    launch<each_of_rows<kCount, Op>>(grid, block, 0, stream, op, rows, columns);
  } else {
    launch<each_of_rows<1, Op>>(grid, block, 0, stream, op, rows, columns);
  }
}

}  // namespace initrt::cuda
