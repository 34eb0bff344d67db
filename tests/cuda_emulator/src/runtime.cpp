// The state of the emulated runtime.
#include "runtime.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "hidden.h"
#include "memory.h"
#include "stream.h"

namespace cuda_emulator {
namespace {

thread_local int current_number = 0;
thread_local cudaError_t last_error = cudaSuccess;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return otherwise;
  std::uint64_t number = 0;
  const char* end = text + std::strlen(text);
  if (std::from_chars(text, end, number).ptr != end) return otherwise;
  return number;
}

std::string uuid_text(const DeviceDescription& device) {
  std::string text = "GPU-";
  for (std::size_t i = 0; i < device.uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[device.uuid[i] >> 4];
    text += kDigits[device.uuid[i] & 15];
  }
  return text;
}

// As CUDA reads it: indices or the beginnings of UUIDs; the first that names no device ends the
// list.
std::vector<DeviceDescription> visible(const std::vector<DeviceDescription>& all) {
  const char* variable = std::getenv("CUDA_VISIBLE_DEVICES");
  if (variable == nullptr) return all;
  std::vector<DeviceDescription> chosen;
  std::string_view rest = variable;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    const auto device = std::find_if(all.begin(), all.end(), [&](const DeviceDescription& one) {
      return name == std::to_string(&one - all.data()) ||
             (name.size() > 4 && uuid_text(one).starts_with(name));
    });
    if (device == all.end()) break;
    chosen.push_back(*device);
  }
  return chosen;
}

}  // namespace

std::vector<DeviceDescription> devices_from_environment() {
  std::vector<DeviceDescription> devices(number_from("CUDA_EMULATOR_DEVICES", 1));
  for (std::size_t i = 0; i < devices.size(); ++i) {
    DeviceDescription& device = devices[i];
    device.memory_bytes = number_from("CUDA_EMULATOR_MEMORY", device.memory_bytes);
    device.uuid[0] = 0xe0;
    device.uuid[15] = static_cast<unsigned char>(i);
    device.pci_bus = static_cast<int>(i + 1);
  }
  return visible(devices);
}

Runtime::Runtime() : seed_(number_from("CUDA_EMULATOR_SEED", 1)) {
  set_devices(devices_from_environment());
}

// Never destroyed: streams' threads may run until the process ends.
Runtime& Runtime::get() {
  static Runtime* const instance = new Runtime;
  return *instance;
}

void Runtime::set_devices(const std::vector<DeviceDescription>& devices) {
  const std::scoped_lock lock(mutex_);
  devices_.clear();
  for (const DeviceDescription& description : devices) {
    devices_.push_back(std::make_unique<Device>());
    devices_.back()->description = description;
    devices_.back()->number = static_cast<int>(devices_.size()) - 1;
  }
}

int Runtime::device_count() {
  const std::scoped_lock lock(mutex_);
  return static_cast<int>(devices_.size());
}

Device* Runtime::device(int number) {
  const std::scoped_lock lock(mutex_);
  if (number < 0 || number >= static_cast<int>(devices_.size())) return nullptr;
  return devices_[static_cast<std::size_t>(number)].get();
}

Device* Runtime::current_device() { return device(current_number); }

std::optional<int> Runtime::failure_of(std::string_view function) {
  if (failures_armed_.load(std::memory_order_relaxed) == 0) return std::nullopt;
  const std::scoped_lock lock(failures_mutex_);
  const auto failure = std::find_if(failures_.begin(), failures_.end(),
                                    [&](const Failure& one) { return one.function == function; });
  if (failure == failures_.end() || failure->calls_before-- > 0) return std::nullopt;
  const int error = failure->error;
  failures_.erase(failure);
  failures_armed_.fetch_sub(1, std::memory_order_relaxed);
  return error;
}

void Runtime::fail_call(std::string_view function, int error, int calls_before) {
  const std::scoped_lock lock(failures_mutex_);
  failures_.push_back({std::string(function), error, calls_before});
  failures_armed_.fetch_add(1, std::memory_order_relaxed);
}

void Runtime::forget_failures() {
  const std::scoped_lock lock(failures_mutex_);
  failures_.clear();
  failures_armed_ = 0;
}

// A kernel counts as the call of a function of no name that a program could call.
cudaError_t Runtime::failure_of_kernel() {
  const Hidden hidden;
  return static_cast<cudaError_t>(failure_of("a kernel").value_or(cudaSuccess));
}

void Runtime::fail_kernel(cudaError_t error, int kernels_before) {
  fail_call("a kernel", error, kernels_before);
}

void count(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

cudaError_t state_of_device() {
  const Device* device = Runtime::get().current_device();
  return device == nullptr ? cudaErrorNoDevice : device->failure.load(std::memory_order_relaxed);
}

void fail_call(std::string_view function, int error, int calls_before) {
  Runtime::get().fail_call(function, error, calls_before);
}

void fail_kernel(cudaError_t error, int kernels_before) {
  Runtime::get().fail_kernel(error, kernels_before);
}

void hang_collective(int collectives_before) {
  fail_call("a hanging collective", 0, collectives_before);
}

void fail_collective(int error, int collectives_before) {
  fail_call("a collective", error, collectives_before);
}

void set_devices(const std::vector<DeviceDescription>& devices) {
  Runtime& runtime = Runtime::get();
  runtime.forget_failures();
  destroy_streams(nullptr);
  free_all(nullptr);
  runtime.set_devices(devices);
  AtomicCounters& counters = runtime.counters;
  counters.kernels = counters.graphs = counters.host_synchronizations = 0;
  counters.lazy_loads = counters.product_loads = counters.collectives = 0;
  runtime.most_batches_that_round_alike = INT_MAX;
  runtime.communicator_bytes = 0;
  forget_loaded();
  for (auto& bytes : counters.bytes) bytes = 0;
  current_number = 0;
  last_error = cudaSuccess;
}

void round_batches_otherwise(int above) { Runtime::get().most_batches_that_round_alike = above; }

void set_communicator_bytes(std::size_t bytes) { Runtime::get().communicator_bytes = bytes; }

void reset() { set_devices(devices_from_environment()); }

Counters counters() {
  const AtomicCounters& now = Runtime::get().counters;
  Counters counters;
  counters.kernels = now.kernels;
  counters.graphs = now.graphs;
  counters.lazy_loads = now.lazy_loads;
  counters.product_loads = now.product_loads;
  counters.collectives = now.collectives;
  counters.nccl_bytes = now.nccl_bytes;
  counters.bytes_to_device = now.bytes[cudaMemcpyHostToDevice];
  counters.bytes_to_host = now.bytes[cudaMemcpyDeviceToHost];
  counters.bytes_within_device = now.bytes[cudaMemcpyDeviceToDevice];
  counters.host_synchronizations = now.host_synchronizations;
  counters.streams = now.streams;
  counters.events = now.events;
  counters.graph_handles = now.graph_handles;
  add_memory(counters);
  return counters;
}

}  // namespace cuda_emulator

using cuda_emulator::Runtime;

cudaError_t cudaGetLastError() {
  const cudaError_t failed = cuda_emulator::state_of_device();
  const cudaError_t error = std::exchange(cuda_emulator::last_error, cudaSuccess);
  return failed != cudaSuccess && failed != cudaErrorNoDevice ? failed : error;
}

cudaError_t cudaPeekAtLastError() {
  const cudaError_t failed = cuda_emulator::state_of_device();
  return failed != cudaSuccess && failed != cudaErrorNoDevice ? failed : cuda_emulator::last_error;
}

cudaError_t cudaSetDevice(int device) {
  using namespace cuda_emulator;
  if (const auto failure = Runtime::get().failure_of(__func__))
    return remember(static_cast<cudaError_t>(*failure));
  if (Runtime::get().device_count() == 0) return remember(cudaErrorNoDevice);
  if (Runtime::get().device(device) == nullptr) return remember(cudaErrorInvalidDevice);
  current_number = device;
  return remember(state_of_device());
}

cudaError_t cudaGetDevice(int* device) {
  using namespace cuda_emulator;
  return api(__func__, [&] {
    *device = current_number;
    return cudaSuccess;
  });
}
