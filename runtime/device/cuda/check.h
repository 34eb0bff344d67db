// Errors of the CUDA runtime as errors of this program.
#pragma once

#include <cuda_runtime.h>

namespace initrt::cuda {

/// @param what what was being done, e.g. "allocating the shard"
/// @throws Error unless `status` is cudaSuccess
void check(cudaError_t status, const char* what);

}  // namespace initrt::cuda
