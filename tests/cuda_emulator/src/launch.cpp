// Kernel launches.
#include <map>
#include <set>
#include <tuple>

#include "block.h"
#include "hidden.h"
#include "stream.h"

namespace cuda_emulator {
namespace {

constexpr std::size_t kSharedBytes = 48 << 10;         // without asking
constexpr std::size_t kSharedBytesAtMost = 227 << 10;  // compute capability 9.0
constexpr unsigned kThreadsAtMost = 1024;

struct FunctionAttributes {
  static FunctionAttributes& get() {
    static FunctionAttributes* const instance = new FunctionAttributes;
    return *instance;
  }
  std::mutex mutex;
  std::map<const void*, std::size_t> shared_bytes;
};

std::size_t shared_bytes_allowed(const void* kernel) {
  FunctionAttributes& attributes = FunctionAttributes::get();
  const HiddenLock lock(attributes.mutex);
  const auto found = attributes.shared_bytes.find(kernel);
  return found == attributes.shared_bytes.end() ? kSharedBytes : found->second;
}

struct Loaded {
  static Loaded& get() {
    static Loaded* const instance = new Loaded;
    return *instance;
  }
  std::mutex mutex;
  std::set<std::tuple<const Device*, const void*, std::uint64_t>> all;
};

bool valid(const cudaLaunchConfig_t& config) {
  const dim3 &grid = config.gridDim, &block = config.blockDim;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
      grid.z > 65535)
    return false;
  return block.x > 0 && block.y > 0 && block.z > 0 && block.x <= kThreadsAtMost &&
         block.y <= kThreadsAtMost && block.z <= 64 &&
         std::uint64_t{block.x} * block.y * block.z <= kThreadsAtMost;
}

}  // namespace

bool note_loaded(const Device& device, const void* kernel, std::uint64_t name) {
  Loaded& loaded = Loaded::get();
  const HiddenLock lock(loaded.mutex);
  return loaded.all.emplace(&device, kernel, name).second;
}

void forget_loaded() {
  Loaded& loaded = Loaded::get();
  const HiddenLock lock(loaded.mutex);
  loaded.all.clear();
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel,
                   std::function<void()> thread) {
  return stream_api("cudaLaunchKernelEx", config.stream, [&](CUstream_st& on) {
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    if (!valid(config)) return cudaErrorInvalidConfiguration;
    if (config.numAttrs != 0) return cudaErrorNotSupported;
    if (config.dynamicSmemBytes > shared_bytes_allowed(kernel)) return cudaErrorInvalidValue;
    if (note_loaded(on.device, kernel)) count(Runtime::get().counters.lazy_loads);
    const KernelShape shape{config.gridDim, config.blockDim, config.dynamicSmemBytes};
    return on.submit({[shape, body = std::move(thread)](CUstream_st& stream) {
      Runtime& runtime = Runtime::get();
      if (const cudaError_t failure = runtime.failure_of_kernel(); failure != cudaSuccess) {
        stream.device.failure.store(failure, std::memory_order_relaxed);
        return;
      }
      count(runtime.counters.kernels);
      run_kernel(shape, body, stream.random);
    }});
  });
}

}  // namespace cuda_emulator

using namespace cuda_emulator;

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return api(__func__, [&] {
    if (function == nullptr) return cudaErrorInvalidDeviceFunction;
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        static_cast<std::size_t>(value) > kSharedBytesAtMost)
      return cudaErrorInvalidValue;
    FunctionAttributes& attributes = FunctionAttributes::get();
    const HiddenLock lock(attributes.mutex);
    attributes.shared_bytes[function] = static_cast<std::size_t>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return api(__func__, [&] {
    if (function == nullptr) return cudaErrorInvalidDeviceFunction;
    *attributes = {};
    attributes->maxThreadsPerBlock = kThreadsAtMost;
    attributes->numRegs = 32;
    attributes->maxDynamicSharedSizeBytes = static_cast<int>(shared_bytes_allowed(function));
    return cudaSuccess;
  });
}

// A function is its kernel's address.
cudaError_t cudaGetFuncBySymbol(cudaFunction_t* function, const void* symbol) {
  return api(__func__, [&] {
    if (symbol == nullptr) return cudaErrorInvalidDeviceFunction;
    *function = reinterpret_cast<cudaFunction_t>(const_cast<void*>(symbol));
    return cudaSuccess;
  });
}
