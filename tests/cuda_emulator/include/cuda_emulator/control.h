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

struct Counters {
  std::uint64_t kernels = 0;  ///< launched, or run by a graph
  std::uint64_t graphs = 0;   ///< launched
  std::uint64_t bytes_to_device = 0, bytes_to_host = 0, bytes_within_device = 0;
  std::uint64_t host_synchronizations = 0;                  ///< waits of the host: calls, not time
  std::int64_t streams = 0, events = 0, graph_handles = 0;  ///< alive
  std::int64_t device_allocations = 0, host_allocations = 0;  ///< alive
  std::int64_t device_bytes = 0, host_bytes = 0;              ///< alive
};
[[nodiscard]] Counters counters();

}  // namespace cuda_emulator
