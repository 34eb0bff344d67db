// Functions of the driver, for who asks the runtime for them. Their names are the emulator's own,
// in case the process has a driver.
#include <cstring>
#include <string_view>

#include "runtime.h"

using namespace cuda_emulator;

namespace {

constexpr int kSuccess = 0, kInvalidDevice = 101, kInvalidHandle = 400;

int get_device(int* handle, int device) {
  if (const auto failure = Runtime::get().failure_of("cuDeviceGet")) return *failure;
  if (Runtime::get().device(device) == nullptr) return kInvalidDevice;
  *handle = device;
  return kSuccess;
}

int get_uuid(char* uuid, int device) {
  if (const auto failure = Runtime::get().failure_of("cuDeviceGetUuid")) return *failure;
  const Device* found = Runtime::get().device(device);
  if (found == nullptr) return kInvalidDevice;
  std::memcpy(uuid, found->description.uuid.data(), found->description.uuid.size());
  return kSuccess;
}

int load_function(cudaFunction_t function) {
  if (const auto failure = Runtime::get().failure_of("cuFuncLoad")) return *failure;
  if (function == nullptr) return kInvalidHandle;
  note_loaded(*Runtime::get().current_device(), function);
  return kSuccess;
}

}  // namespace

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  return api(__func__, [&] {
    const std::string_view wanted = name;
    *function = wanted == "cuDeviceGet"       ? reinterpret_cast<void*>(get_device)
                : wanted == "cuDeviceGetUuid" ? reinterpret_cast<void*>(get_uuid)
                : wanted == "cuFuncLoad"      ? reinterpret_cast<void*>(load_function)
                                              : nullptr;
    const auto found =
        *function == nullptr ? cudaDriverEntryPointSymbolNotFound : cudaDriverEntryPointSuccess;
    if (result != nullptr) *result = found;
    return cudaSuccess;
  });
}
