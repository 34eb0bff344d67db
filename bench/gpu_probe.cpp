// What a machine's GPU and driver do where this program has to choose: what starting costs and
// takes (with CUDA_MODULE_LOADING=EAGER and LAZY: run it once with each), how fast pinned copies
// are, what a launch costs alone and in a graph, whether files can be read directly into memory
// that the driver has pinned, and what it costs to post a collective. One JSON object.
//
//   gpu_probe [FILE]     FILE: of some hundred MB, for direct reads
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "runtime/device/cuda/cuda_device.h"
#include "runtime/device/cuda/gpus.h"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/needs.h"
#include "sharding/error.h"
#ifdef GPU_PROBE_NCCL
#include <nccl.h>
#endif

namespace initrt::cuda {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

std::uint64_t used_bytes() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for memory");
  return total - free;
}

/// Members of the one object that is printed.
class Report {
 public:
  void add(const std::string& name, const std::string& value) {
    text_ += fmt::format("{}\n  \"{}\": {}", text_.empty() ? "" : ",", name, value);
  }
  void text(const std::string& name, const std::string& value) {
    add(name, fmt::format("\"{}\"", value));
  }
  void print() const { fmt::print("{{{}\n}}\n", text_); }

 private:
  std::string text_;
};

void tell_facts(Report& report) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "asking what the GPU is");
  int driver = 0, runtime = 0;
  check(cudaDriverGetVersion(&driver), "asking for the driver");
  check(cudaRuntimeGetVersion(&runtime), "asking for the runtime");
  report.text("name", static_cast<const char*>(properties.name));
  report.add("driver", std::to_string(driver));
  report.add("runtime", std::to_string(runtime));
  report.add("multiprocessors", std::to_string(properties.multiProcessorCount));
  report.add("l2_bytes", std::to_string(properties.l2CacheSize));
  report.add("memory_bytes", std::to_string(properties.totalGlobalMem));
  std::string of_driver, of_runtime;
  const std::vector<Gpu> gpus = visible_gpus();
  for (const std::uint8_t byte : gpus.front().uuid) of_driver += fmt::format("{:02x}", byte);
  for (const char byte : properties.uuid.bytes) {
    of_runtime += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  report.text("uuid", of_driver);
  report.text("uuid_of_runtime", of_runtime);
}

/// Starts the device as a rank does, and a product; what each took.
std::unique_ptr<CudaDevice> start(Report& report, Ledger& ledger, std::vector<Buffer>& keep) {
  const char* loading = std::getenv("CUDA_MODULE_LOADING");
  report.text("module_loading", loading == nullptr ? "" : loading);
  Clock::time_point begun = Clock::now();
  check(cudaSetDevice(0), "choosing the GPU");
  check(cudaFree(nullptr), "starting the GPU");
  report.add("context_seconds", fmt::format("{:.3f}", seconds_since(begun)));
  report.add("context_bytes_in_use", std::to_string(used_bytes()));
  begun = Clock::now();
  auto device = std::make_unique<CudaDevice>(0, DeviceOptions{});
  report.add("device_seconds", fmt::format("{:.3f}", seconds_since(begun)));
  report.add("device_bytes_in_use", std::to_string(used_bytes()));
  const DeviceNeeds needs = device->needs({DType::BF16, 64, 4096});
  const auto make = [&](std::uint64_t bytes) {
    keep.push_back(allocate(*device, ledger, MemoryCategory::Scratch, bytes));
    return keep.back().data();
  };
  std::byte* const weight = make(4096 * 4096 * 2);
  auto* const in = reinterpret_cast<float*>(make(64 * 4096 * 4));
  auto* const out = reinterpret_cast<float*>(make(64 * 4096 * 4));
  std::byte* const scratch = make(needs.scratch_bytes);
  keep.push_back(device->allocate_host(ledger, MemoryCategory::Pinned, needs.pinned_bytes));
  device->set_scratch({scratch, static_cast<std::size_t>(needs.scratch_bytes)}, keep.back().span(),
                      64);
  const std::uint64_t before = used_bytes();
  begun = Clock::now();
  device->linear(in, {weight, nullptr, DType::BF16, 4096, 4096}, out, 1, 4096);
  device->synchronize();
  report.add("first_product_seconds", fmt::format("{:.3f}", seconds_since(begun)));
  report.add("first_product_bytes", std::to_string(used_bytes() - before));
  return device;
}

/// Of `bytes` at once in each of `streams` streams, GB/s in all.
double copy_speed(std::uint64_t bytes, int streams, bool to_device) {
  Ledger ledger;
  const BufferPart part{MemoryCategory::Scratch, bytes * static_cast<std::uint64_t>(streams)};
  const Buffer device = allocate_device_memory(ledger, std::span(&part, 1));
  const Buffer host = allocate_pinned_memory(ledger, std::span(&part, 1));
  std::vector<Stream> all;
  for (int i = 0; i < streams; ++i) all.push_back(make_stream());
  const std::uint64_t rounds = std::max<std::uint64_t>(4, (1u << 30) / part.bytes);
  Clock::time_point begun;
  for (std::uint64_t round = 0; round <= rounds; ++round) {
    if (round == 1) {  // the first one warms up
      check(cudaDeviceSynchronize(), "copying");
      begun = Clock::now();
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::byte* const on_device = device.data() + i * bytes;
      std::byte* const on_host = host.data() + i * bytes;
      check(cudaMemcpyAsync(to_device ? on_device : on_host, to_device ? on_host : on_device, bytes,
                            cudaMemcpyDefault, all[i].get()),
            "copying");
    }
  }
  check(cudaDeviceSynchronize(), "copying");
  return static_cast<double>(rounds * part.bytes) / seconds_since(begun) / 1e9;
}

void measure_copies(Report& report) {
  for (const std::uint64_t bytes : {64u << 10, 4u << 20, 256u << 20}) {
    for (const int streams : {1, 4}) {
      for (const bool to_device : {true, false}) {
        report.add(fmt::format("copy_{}_{}KiB_{}_streams_GBps", to_device ? "to" : "from",
                               bytes >> 10, streams),
                   fmt::format("{:.2f}", copy_speed(bytes, streams, to_device)));
      }
    }
  }
}

void measure_launches(Report& report, CudaDevice& device, float* x) {
  constexpr int kKernels = 700;  // of a sweep of 32 layers
  const auto ops = [&] {
    for (int i = 0; i < kKernels; ++i) device.scale(x, 1.0f, 256);
  };
  const auto time = [&](const std::function<void()>& run, const char* name) {
    double least_host = 1e9, least = 1e9;
    for (int i = 0; i < 10; ++i) {
      device.synchronize();
      const Clock::time_point begun = Clock::now();
      run();
      least_host = std::min(least_host, seconds_since(begun));
      device.synchronize();
      least = std::min(least, seconds_since(begun));
    }
    report.add(fmt::format("{}_host_us_a_kernel", name),
               fmt::format("{:.3f}", least_host * 1e6 / kKernels));
    report.add(fmt::format("{}_us_a_kernel", name), fmt::format("{:.3f}", least * 1e6 / kKernels));
  };
  time(ops, "launch");
  time([&] { device.repeat(1, ops); }, "graph");
}

/// "12.3" (GB/s), or why not.
std::string direct_read(const char* path, std::byte* memory, std::size_t bytes) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (file < 0) return fmt::format("\"open: {}\"", std::strerror(errno));
  const Clock::time_point begun = Clock::now();
  std::uint64_t read = 0;
  for (std::uint64_t at = 0; at < (1u << 30); at += bytes) {
    const ssize_t got = ::pread(file, memory, bytes, static_cast<off_t>(at));
    if (got < 0) {
      const int error = errno;
      ::close(file);
      return fmt::format("\"pread: {}\"", std::strerror(error));
    }
    read += static_cast<std::uint64_t>(got);
    if (static_cast<std::size_t>(got) < bytes) break;
  }
  ::close(file);
  return fmt::format("{:.2f}", static_cast<double>(read) / seconds_since(begun) / 1e9);
}

void try_direct_reads(Report& report, const char* path) {
  constexpr std::size_t kBytes = 4 << 20;
  Ledger ledger;
  const BufferPart part{MemoryCategory::Staging, kBytes};
  const Buffer pinned = allocate_pinned_memory(ledger, std::span(&part, 1));
  report.add("direct_read_into_cudaHostAlloc_GBps", direct_read(path, pinned.data(), kBytes));
  auto* const own = static_cast<std::byte*>(std::aligned_alloc(4096, kBytes));
  report.add("direct_read_into_aligned_alloc_GBps", direct_read(path, own, kBytes));
  if (cudaHostRegister(own, kBytes, cudaHostRegisterDefault) == cudaSuccess) {
    report.add("direct_read_into_cudaHostRegister_GBps", direct_read(path, own, kBytes));
    check(cudaHostUnregister(own), "unregistering");
  }
  std::free(own);
}

#ifdef GPU_PROBE_NCCL
using cuda::check;  // beside which is:
void check(ncclResult_t result, const char* what) {
  if (result != ncclSuccess) fail("nccl: {}: {}", what, ncclGetErrorString(result));
}

void settle(ncclResult_t result, ncclComm_t comm, const char* what) {
  while (result == ncclInProgress) check(ncclCommGetAsyncError(comm, &result), what);
  check(result, what);
}

/// One rank: what the host does to post a gathering, and what a communicator takes.
void measure_posting(Report& report, bool blocking) {
  const std::string suffix = blocking ? "blocking" : "nonblocking";
  ncclUniqueId id{};
  check(ncclGetUniqueId(&id), "an id");
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = blocking ? 1 : 0;
  ncclComm_t comm = nullptr;
  const std::uint64_t before = used_bytes();
  Clock::time_point begun = Clock::now();
  settle(ncclCommInitRankConfig(&comm, 1, id, 0, &config), comm, "connecting");
  report.add("nccl_connect_seconds_" + suffix, fmt::format("{:.3f}", seconds_since(begun)));
  report.add("nccl_bytes_" + suffix, std::to_string(used_bytes() - before));
  Ledger ledger;
  const BufferPart part{MemoryCategory::Scratch, 2 << 20};
  const Buffer from = allocate_device_memory(ledger, std::span(&part, 1));
  const Buffer to = allocate_device_memory(ledger, std::span(&part, 1));
  const Stream stream = make_stream(Priority::High);
  constexpr int kRounds = 200;
  for (int i = -10; i < kRounds; ++i) {
    if (i == 0) begun = Clock::now();
    settle(ncclAllGather(from.data(), to.data(), part.bytes, ncclUint8, comm, stream.get()), comm,
           "gathering");
  }
  report.add("nccl_post_us_" + suffix, fmt::format("{:.2f}", seconds_since(begun) * 1e6 / kRounds));
  check(cudaStreamSynchronize(stream.get()), "gathering");
  std::uint64_t own = used_bytes();
  void* memory = nullptr;
  check(ncclMemAlloc(&memory, 1 << 20), "allocating");
  report.add("nccl_bytes_of_1MiB_" + suffix, std::to_string(used_bytes() - own));
  check(ncclMemFree(memory), "freeing");
  check(ncclCommAbort(comm), "ending");
}
#endif

void run(const char* path) {
  Report report;
  tell_facts(report);
  Ledger ledger;
  std::vector<Buffer> keep;
  const auto device = start(report, ledger, keep);
  measure_copies(report);
  measure_launches(report, *device, keep[1].floats());
  if (path != nullptr) try_direct_reads(report, path);
#ifdef GPU_PROBE_NCCL
  for (const bool blocking : {false, true}) measure_posting(report, blocking);
#endif
  report.print();
}

}  // namespace
}  // namespace initrt::cuda

int main(int argc, char** argv) {
  try {
    initrt::cuda::set_environment();
    if (initrt::cuda::visible_gpus().empty()) initrt::fail("this machine has no GPU");
    initrt::cuda::run(argc > 1 ? argv[1] : nullptr);
  } catch (const std::exception& error) {
    fmt::print(stderr, "gpu_probe: {}\n", error.what());
    return 1;
  }
}
