// What a device says of itself.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "capture.h"
#include "memory.h"
#include "stream.h"

using namespace cuda_emulator;

namespace {

// As of an H100.
constexpr int kMajor = 9, kMinor = 0;
constexpr int kSharedBytes = 48 << 10, kSharedBytesOptin = 227 << 10, kCacheBytes = 50 << 20;
constexpr int kThreads = 1024;

/// A function that asks about a device: it may have failed, and need not be the current one.
template <class Body>
cudaError_t about_device(const char* function, int number, Body&& body) {
  if (const auto failure = Runtime::get().failure_of(function))
    return remember(static_cast<cudaError_t>(*failure));
  const Device* device = Runtime::get().device(number);
  if (device == nullptr) return remember(cudaErrorInvalidDevice);
  return remember(body(device->description));
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  if (const auto failure = Runtime::get().failure_of(__func__))
    return remember(static_cast<cudaError_t>(*failure));
  *count = Runtime::get().device_count();
  return remember(*count == 0 ? cudaErrorNoDevice : cudaSuccess);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return about_device(__func__, device, [&](const DeviceDescription& of) {
    *properties = {};
    of.name.copy(properties->name, sizeof properties->name - 1);
    const bool part = of.uuid_of_whole != std::array<unsigned char, 16>{};
    std::memcpy(properties->uuid.bytes, (part ? of.uuid_of_whole : of.uuid).data(), of.uuid.size());
    properties->totalGlobalMem = of.memory_bytes;
    properties->sharedMemPerBlock = kSharedBytes;
    properties->sharedMemPerBlockOptin = kSharedBytesOptin;
    properties->warpSize = warpSize;
    properties->maxThreadsPerBlock = kThreads;
    properties->major = kMajor;
    properties->minor = kMinor;
    properties->multiProcessorCount = of.multiprocessors;
    properties->integrated = of.integrated;
    properties->pciDomainID = of.pci_domain;
    properties->pciBusID = of.pci_bus;
    properties->pciDeviceID = of.pci_device;
    properties->unifiedAddressing = 1;
    properties->l2CacheSize = kCacheBytes;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return about_device(__func__, device, [&](const DeviceDescription& of) {
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock:
        *value = kThreads;
        return cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = kSharedBytes;
        return cudaSuccess;
      case cudaDevAttrWarpSize:
        *value = warpSize;
        return cudaSuccess;
      case cudaDevAttrMultiProcessorCount:
        *value = of.multiprocessors;
        return cudaSuccess;
      case cudaDevAttrIntegrated:
        *value = of.integrated;
        return cudaSuccess;
      case cudaDevAttrPciBusId:
        *value = of.pci_bus;
        return cudaSuccess;
      case cudaDevAttrPciDeviceId:
        *value = of.pci_device;
        return cudaSuccess;
      case cudaDevAttrPciDomainId:
        *value = of.pci_domain;
        return cudaSuccess;
      case cudaDevAttrL2CacheSize:
        *value = kCacheBytes;
        return cudaSuccess;
      case cudaDevAttrUnifiedAddressing:
        *value = 1;
        return cudaSuccess;
      case cudaDevAttrComputeCapabilityMajor:
        *value = kMajor;
        return cudaSuccess;
      case cudaDevAttrComputeCapabilityMinor:
        *value = kMinor;
        return cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = kSharedBytesOptin;
        return cudaSuccess;
    }
    return cudaErrorInvalidValue;
  });
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  return about_device(__func__, device, [&](const DeviceDescription& of) {
    const std::string text =
        fmt::format("{:04X}:{:02X}:{:02X}.0", of.pci_domain, of.pci_bus, of.pci_device);
    if (static_cast<std::size_t>(length) <= text.size()) return cudaErrorInvalidValue;
    std::memcpy(id, text.c_str(), text.size() + 1);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceReset() {
  Device* device = Runtime::get().current_device();
  if (device == nullptr) return remember(cudaErrorNoDevice);
  destroy_streams(device);
  free_all(device);
  device->failure = cudaSuccess;
  return remember(cudaSuccess);
}

cudaError_t cudaDriverGetVersion(int* version) {
  if (const auto failure = Runtime::get().failure_of(__func__))
    return remember(static_cast<cudaError_t>(*failure));
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
