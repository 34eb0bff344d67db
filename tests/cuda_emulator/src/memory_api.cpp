// The API's functions of memory.
#include <cstdlib>
#include <cstring>

#include "capture.h"
#include "memory.h"
#include "poison.h"
#include "stream.h"

using namespace cuda_emulator;

// As the real ones may, these wait for the device: a program must not count on work going on.
namespace {

cudaError_t wait_for_device() {
  if (const cudaError_t refused = refuse_in_capture(); refused != cudaSuccess) return refused;
  Device& device = *Runtime::get().current_device();
  synchronize_streams(device);
  return device.failure;
}

}  // namespace

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return api(__func__, [&] {
    if (memory == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t failed = wait_for_device(); failed != cudaSuccess) return failed;
    return allocate(*Runtime::get().current_device(), memory, bytes);
  });
}

cudaError_t cudaFree(void* memory) {
  return api(__func__, [&] {
    if (const cudaError_t failed = wait_for_device(); failed != cudaSuccess) return failed;
    return memory == nullptr ? cudaSuccess : deallocate(memory);
  });
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  return api(__func__, [&] {
    if (memory == nullptr) return cudaErrorInvalidValue;
    *memory = nullptr;
    if (const cudaError_t refused = refuse_in_capture(); refused != cudaSuccess) return refused;
    if (bytes == 0) return cudaSuccess;
    // Of exactly this size, so that AddressSanitizer sees what goes past it.
    void* fresh = nullptr;
    if (posix_memalign(&fresh, 4096, bytes) != 0) return cudaErrorMemoryAllocation;
    std::memset(fresh, kPoison, bytes);
    add_host(fresh, bytes, false);
    *memory = fresh;
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes, unsigned flags) {
  if (const auto failure = Runtime::get().failure_of(__func__))
    return remember(static_cast<cudaError_t>(*failure));
  return cudaHostAlloc(memory, bytes, flags);
}

cudaError_t cudaFreeHost(void* memory) {
  return api(__func__, [&] {
    if (const cudaError_t failed = wait_for_device(); failed != cudaSuccess) return failed;
    if (memory == nullptr) return cudaSuccess;
    if (!remove_host(memory, false)) return cudaErrorInvalidValue;
    std::free(memory);
    return cudaSuccess;
  });
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  return api(__func__, [&] {
    if (memory == nullptr || bytes == 0) return cudaErrorInvalidValue;
    if (kind_of(memory, 1) != MemoryKind::Pageable) return cudaErrorHostMemoryAlreadyRegistered;
    add_host(memory, bytes, true);
    return cudaSuccess;
  });
}

cudaError_t cudaHostUnregister(void* memory) {
  return api(__func__, [&] {
    if (const cudaError_t failed = wait_for_device(); failed != cudaSuccess) return failed;
    return remove_host(memory, true) ? cudaSuccess : cudaErrorHostMemoryNotRegistered;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  return api(__func__, [&] {
    const Device& device = *Runtime::get().current_device();
    *total_bytes = device.description.memory_bytes;
    *free_bytes = *total_bytes - device.used_bytes;
    return cudaSuccess;
  });
}
