// Control of the CUDA emulator: a part of the CUDA runtime, cuBLASLt and NCCL on the CPU, so that
// the sources of the CUDA backend run where no GPU is, under sanitizers too.
//
// What a test that passes here shows: that the backend's logic is right; that what it asks for is
// ordered by streams and events, as far as the delays of this seed and ThreadSanitizer can tell;
// that barriers are met by all threads and suffice in the order that this seed ran them; that
// accesses are within bounds, and that the host leaves device memory alone once it has waited; that
// errors are heard. What it does not show: speed, the memory model of a GPU, races between threads
// of a block, the rounding of CUDA's transcendental functions, or which algorithms the real
// libraries choose.
//
// Where it is stricter than CUDA: the null stream does not wait for others, nor they for it.
//
// From the environment, for whole programs: CUDA_EMULATOR_DEVICES (a count, 1 by default),
// CUDA_EMULATOR_MEMORY (bytes of each, 4 GiB by default), CUDA_EMULATOR_SEED (of delays and of the
// orders of threads and blocks; 0: none of either), CUDA_EMULATOR_PROTECT=0 (the host may touch
// device memory), and CUDA_VISIBLE_DEVICES as CUDA reads it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cuda_emulator/types.h"

namespace cuda_emulator {

struct DeviceDescription {
  std::string name = "Emulated GPU";
  std::array<unsigned char, 16> uuid{};
  /// What properties have instead, as they may of a part of a GPU; all 0: the same.
  std::array<unsigned char, 16> uuid_of_whole{};
  int pci_domain = 0, pci_bus = 0, pci_device = 0;
  std::size_t memory_bytes = std::size_t{4} << 30;
  int multiprocessors = 4;
  bool integrated = false;
};

/// As after the start of the process: no streams, no memory, no failures to come, counters at 0,
/// devices from the environment. No thread may be using CUDA; handles of before are gone, but for
/// events.
void reset();

/// reset(), with these devices.
void set_devices(const std::vector<DeviceDescription>& devices);

/// The devices that the environment asks for.
[[nodiscard]] std::vector<DeviceDescription> devices_from_environment();

/// The next call of `function` (e.g. "cudaMalloc"), after `calls_before` more, returns `error` and
/// does nothing. Libraries' functions too: then a value of their own error type.
void fail_call(std::string_view function, int error, int calls_before = 0);

/// The next kernel to run on any device, after `kernels_before` more, does not: its device fails
/// with `error`, which every later call returns until cudaDeviceReset().
void fail_kernel(cudaError_t error, int kernels_before = 0);

/// The next operation of a communicator to run in this process, after `collectives_before` more,
/// never ends but by ncclCommAbort().
void hang_collective(int collectives_before = 0);

/// It moves nothing, and its communicator then has this asynchronous error (an ncclResult_t).
void fail_collective(int error, int collectives_before = 0);

/// From here on products of more than so many matrices at once round in another way than those of
/// one, as with an algorithm that shares their sums out among blocks of threads.
void round_batches_otherwise(int above = 1);

/// What every communicator takes of its device's memory from here on, in bytes.
void set_communicator_bytes(std::size_t bytes);

/// Priorities of the streams that are alive, the highest (the least number) first.
[[nodiscard]] std::vector<int> stream_priorities();

struct Counters {
  std::uint64_t kernels = 0;  ///< launched, or run by a graph
  /// Kernels that nobody had loaded when they were launched, and sorts of products (algorithm,
  /// type, one or several at once) that were run for the first time, on each device.
  std::uint64_t lazy_loads = 0, product_loads = 0;
  std::uint64_t graphs = 0;  ///< launched
  std::uint64_t bytes_to_device = 0, bytes_to_host = 0, bytes_within_device = 0;
  std::uint64_t host_synchronizations = 0;                  ///< waits of the host: calls, not time
  std::int64_t streams = 0, events = 0, graph_handles = 0;  ///< alive
  std::int64_t device_allocations = 0, host_allocations = 0;  ///< alive
  std::int64_t device_bytes = 0, host_bytes = 0;              ///< alive
  std::int64_t nccl_bytes = 0;    ///< of device_bytes, what ncclMemAlloc() gave
  std::uint64_t collectives = 0;  ///< all-gathers and groups that were run
};
[[nodiscard]] Counters counters();

}  // namespace cuda_emulator
