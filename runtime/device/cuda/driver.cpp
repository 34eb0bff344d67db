#include "runtime/device/cuda/driver.h"

#include <cuda_runtime.h>

#include <cstring>

#include "runtime/device/cuda/check.h"

namespace initrt::cuda::driver {
namespace {

/// Null where the driver has no such function. @param version of CUDA since which it is what it is
template <class Function>
Function* find(const char* name, unsigned version) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t status =
      cudaGetDriverEntryPointByVersion(name, &found, version, cudaEnableDefault, &result);
  if (status != cudaSuccess || result != cudaDriverEntryPointSuccess) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  return reinterpret_cast<Function*>(found);
}

constexpr int kSuccess = 0;  // CUDA_SUCCESS; a CUresult and a CUdevice are ints

}  // namespace

bool uuid_of(int device, std::array<std::uint8_t, 16>& uuid) {
  static auto* const get = find<int(int*, int)>("cuDeviceGet", 2000);
  // Of version 11.4 on (cuDeviceGetUuid_v2): the one before it tells the whole GPU's.
  static auto* const get_uuid = find<int(char*, int)>("cuDeviceGetUuid", 11040);
  int handle = 0;
  std::array<char, 16> bytes{};
  if (get == nullptr || get_uuid == nullptr || get(&handle, device) != kSuccess ||
      get_uuid(bytes.data(), handle) != kSuccess) {
    return false;
  }
  std::memcpy(uuid.data(), bytes.data(), uuid.size());
  return true;
}

void load(const void* kernel) {
  static auto* const load_function = find<int(cudaFunction_t)>("cuFuncLoad", 12040);
  cudaFunction_t function = nullptr;
  check(cudaGetFuncBySymbol(&function, kernel), "looking for a kernel");
  if (load_function != nullptr) static_cast<void>(load_function(function));
}

}  // namespace initrt::cuda::driver
