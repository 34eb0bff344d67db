#include "runtime/device/cuda/load_kernels.h"

#include "runtime/device/cuda/driver.h"
#include "runtime/device/cuda/launch.h"

namespace initrt::cuda {

void load_kernels() {
  for (const LaunchedKernel* one = LaunchedKernel::first(); one != nullptr; one = one->next()) {
    cudaFuncAttributes attributes{};  // asked for because it takes a loaded kernel to tell
    check(cudaFuncGetAttributes(&attributes, one->kernel()), "loading a kernel");
    driver::load(one->kernel());
  }
}

}  // namespace initrt::cuda
