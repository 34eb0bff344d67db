// The state of the emulated runtime: its devices, the failures to come, and what every API function
// does before and after its own work.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <climits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cuda_emulator/control.h"

namespace cuda_emulator {

struct Device {
  DeviceDescription description;
  int number = 0;
  std::atomic<cudaError_t> failure = cudaSuccess;  ///< sticky
  std::atomic<std::size_t> used_bytes = 0;
  std::shared_ptr<CUstream_st> null_stream;  ///< made when first used
};

struct AtomicCounters {
  std::atomic<std::uint64_t> kernels = 0, graphs = 0, lazy_loads = 0, product_loads = 0;
  std::atomic<std::uint64_t> collectives = 0;
  std::atomic<std::int64_t> nccl_bytes = 0;
  std::atomic<std::uint64_t> bytes[5] = {};  ///< by cudaMemcpyKind
  std::atomic<std::uint64_t> host_synchronizations = 0;
  std::atomic<std::int64_t> streams = 0, events = 0, graph_handles = 0;
};

class Runtime {
 public:
  static Runtime& get();

  /// @throws nothing; null where there is no such device
  Device* device(int number);
  Device* current_device();
  int device_count();
  void set_devices(const std::vector<DeviceDescription>& devices);

  /// The error that a call of `function` has to return now, if it is to fail.
  std::optional<int> failure_of(std::string_view function);
  void fail_call(std::string_view function, int error, int calls_before);

  /// The error of the kernel that is about to run, or cudaSuccess.
  cudaError_t failure_of_kernel();
  void fail_kernel(cudaError_t error, int kernels_before);
  void forget_failures();

  AtomicCounters counters;
  std::atomic<int> most_batches_that_round_alike = INT_MAX;
  std::atomic<std::size_t> communicator_bytes = 0;

  /// Of a process's streams, in the order in which they are made.
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  std::uint64_t next_stream_number() { return ++streams_made_; }
  std::mutex& mutex() { return mutex_; }

 private:
  Runtime();

  struct Failure {
    std::string function;
    int error = 0;
    int calls_before = 0;
  };
  std::mutex mutex_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::mutex failures_mutex_;
  std::atomic<int> failures_armed_ = 0;
  std::vector<Failure> failures_;
  std::uint64_t seed_ = 1;
  std::atomic<std::uint64_t> streams_made_ = 0;
};

void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1);

/// What has been loaded on a device: a kernel, or another thing with a name of its own.
/// @returns false where it had been before
bool note_loaded(const Device& device, const void* kernel, std::uint64_t name = 0);
void forget_loaded();

/// Notes `error` for cudaGetLastError().
cudaError_t remember(cudaError_t error);

/// The sticky error of the thread's device, or that there is none.
cudaError_t state_of_device();

/// An API function: `body` runs unless a failure was asked for or the device has failed.
template <class Body>
cudaError_t api(const char* function, Body&& body) {
  if (const auto failure = Runtime::get().failure_of(function))
    return remember(static_cast<cudaError_t>(*failure));
  if (const cudaError_t failed = state_of_device(); failed != cudaSuccess) return remember(failed);
  return remember(body());
}

}  // namespace cuda_emulator
