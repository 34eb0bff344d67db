// Vectors of float32 that lie in blocks: corrections of routers, sinks, decays.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "sharding/row_blocks.h"

namespace initrt::cuda {

/// Element i.
__device__ __forceinline__ float element(const RowBlocks& vector, std::uint64_t i) {
  return reinterpret_cast<const float*>(vector.base +
                                        i / vector.rows * vector.stride)[i % vector.rows];
}

}  // namespace initrt::cuda
