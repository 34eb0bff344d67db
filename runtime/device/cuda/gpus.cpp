#include "runtime/device/cuda/gpus.h"

#include <cstdlib>
#include <cstring>

#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/driver.h"
#include "sharding/error.h"

namespace initrt::cuda {

bool is_built() { return true; }

void set_environment() {
  // Libraries' kernels are loaded when they are first run: all of cuBLASLt's would take seconds and
  // some hundred MB of each rank. load_kernels() and Engine::warm_up() see to those that are used.
  setenv("CUDA_MODULE_LOADING", "LAZY", /*overwrite=*/0);
  // Queues of a GPU: streams that share one wait for each other, and a loader has many.
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", /*overwrite=*/0);
}

std::vector<Gpu> visible_gpus() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) {
    int driver = 0;
    // A driver of version 0 is none at all.
    if (status == cudaErrorNoDevice || cudaDriverGetVersion(&driver) != cudaSuccess ||
        driver == 0) {
      return {};
    }
    fail(
        "cuda: this machine's NVIDIA driver is for CUDA {}.{}, and this program for {}.{}: "
        "update the driver",
        driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  }
  check(status, "counting GPUs");
  std::vector<Gpu> gpus;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, i), "asking what a GPU is");
    Gpu gpu;
    std::memcpy(gpu.uuid.data(), &properties.uuid, gpu.uuid.size());
    static_cast<void>(driver::uuid_of(i, gpu.uuid));
    gpu.name = static_cast<const char*>(properties.name);
    std::array<char, 32> bus_id{};
    check(cudaDeviceGetPCIBusId(bus_id.data(), static_cast<int>(bus_id.size()), i),
          "asking where a GPU is");
    gpu.bus_id = bus_id.data();
    gpus.push_back(std::move(gpu));
  }
  return gpus;
}

}  // namespace initrt::cuda
