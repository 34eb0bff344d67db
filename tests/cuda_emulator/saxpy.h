// saxpy.cu's function.
#pragma once

#include <cuda_runtime.h>

/// y += a * x, in device memory.
void saxpy(cudaStream_t stream, float a, const float* x, float* y, unsigned count);
