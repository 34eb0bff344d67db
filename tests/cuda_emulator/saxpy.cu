// A CUDA source as the backend's are, to be compiled for the emulator.
#include "runtime/device/cuda/launch.h"
#include "saxpy.h"

namespace {

__global__ void __launch_bounds__(128)
    saxpy_kernel(float a, const float* __restrict__ x, float* __restrict__ y, unsigned count) {
  __shared__ float tile[128][4];
  const unsigned first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i)
    if (first + i < count) tile[threadIdx.x][i] = __ldg(x + first + i);
  __syncthreads();
#pragma unroll
  for (unsigned i = 0; i < 4; ++i)
    if (first + i < count) y[first + i] = fmaf(a, tile[threadIdx.x][i], y[first + i]);
}

}  // namespace

void saxpy(cudaStream_t stream, float a, const float* x, float* y, unsigned count) {
  initrt::cuda::launch<saxpy_kernel>((count + 511) / 512, 128, 0, stream, a, x, y, count);
}
