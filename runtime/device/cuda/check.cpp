// Apart from its header, because nvcc 13.0 does not get through the constexpr functions of fmt 9.
#include "runtime/device/cuda/check.h"

#include "sharding/error.h"

namespace initrt::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  fail("cuda: {}: {} ({})", what, cudaGetErrorString(status), cudaGetErrorName(status));
}

}  // namespace initrt::cuda
