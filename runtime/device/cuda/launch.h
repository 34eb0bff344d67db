// Starting kernels, and the shared memory whose size a launch gives. For .cu files.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#include "runtime/device/cuda/check.h"

namespace initrt::cuda {

/// The block's dynamic shared memory: the `shared_bytes` of its launch, 16-byte aligned.
#ifdef __CUDACC__
__device__ inline std::byte* dynamic_shared() {
  extern __shared__ __align__(16) std::byte shared_memory[];
  return shared_memory;
}
#else  // no other compiler can say what that is: the CUDA emulator for tests has a function
inline std::byte* dynamic_shared() {
  return static_cast<std::byte*>(cuda_emulator::dynamic_shared());
}
#endif

/// A kernel that launch() may start, in the list of them all that load_kernels() goes through.
class LaunchedKernel {
 public:
  explicit LaunchedKernel(const void* kernel) : kernel_(kernel), next_(first_) { first_ = this; }

  [[nodiscard]] static const LaunchedKernel* first() { return first_; }
  [[nodiscard]] const LaunchedKernel* next() const { return next_; }
  [[nodiscard]] const void* kernel() const { return kernel_; }

 private:
  static inline constinit const LaunchedKernel* first_ = nullptr;
  const void* kernel_;
  const LaunchedKernel* next_;
};

/// In the list before main() begins, for every kernel that is launched somewhere.
template <auto kKernel>
inline const LaunchedKernel launched_kernel{reinterpret_cast<const void*>(kKernel)};

/// Puts a kernel on `stream` and returns. Arguments become the kernel's parameters by the usual
/// conversions. @throws Error where it cannot be started; how it ends is seen by later calls
/// @param shared_bytes more than 48 KiB only where cudaFuncSetAttribute allowed it
template <auto kKernel, class... Arguments>
void launch(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            Arguments&&... arguments) {
  static_cast<void>(launched_kernel<kKernel>.kernel());
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kKernel, std::forward<Arguments>(arguments)...),
        "starting a kernel");
}

}  // namespace initrt::cuda
