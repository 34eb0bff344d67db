// Streams as threads.
#include "stream.h"

#include <algorithm>
#include <map>
#include <utility>

#include "capture.h"
#include "hidden.h"
#include "memory.h"

namespace cuda_emulator {
namespace {

/// How long a query waits before it says "not yet": a host that asks again and again would take the
/// core from the stream it waits for.
constexpr auto kPatience = std::chrono::microseconds(100);

/// All streams that are there, but for null streams, which are their devices' own.
struct Streams {
  static Streams& get() {
    static Streams* const instance = new Streams;
    return *instance;
  }
  std::mutex mutex;
  std::map<cudaStream_t, std::shared_ptr<CUstream_st>> all;
};

std::vector<std::shared_ptr<CUstream_st>> streams_of(const Device* device) {
  Streams& streams = Streams::get();
  const std::scoped_lock lock(streams.mutex);
  std::vector<std::shared_ptr<CUstream_st>> of;
  for (const auto& [handle, stream] : streams.all)
    if (device == nullptr || &stream->device == device) of.push_back(stream);
  for (int i = 0; i < Runtime::get().device_count(); ++i) {
    const Device& one = *Runtime::get().device(i);
    if ((device == nullptr || &one == device) && one.null_stream != nullptr)
      of.push_back(one.null_stream);
  }
  return of;
}

}  // namespace

void Completion::signal() {
  release(this);
  const HiddenLock lock(mutex_);
  reached_ = true;
  time_ = std::chrono::steady_clock::now();
  condition_.notify_all();
}

void Completion::wait() {
  {
    HiddenLock lock(mutex_);
    condition_.wait(lock.get(), [this] { return reached_; });
  }
  acquire(this);
}

bool Completion::reached() {
  {
    HiddenLock lock(mutex_);
    if (!condition_.wait_for(lock.get(), kPatience, [this] { return reached_; })) return false;
  }
  acquire(this);
  return true;
}

std::chrono::steady_clock::time_point Completion::time() {
  const HiddenLock lock(mutex_);
  return time_;
}

std::shared_ptr<CUstream_st> stream_of(cudaStream_t handle) {
  Streams& streams = Streams::get();
  const std::scoped_lock lock(streams.mutex);
  if (handle == nullptr) {
    Device& device = *Runtime::get().current_device();
    if (device.null_stream == nullptr)
      device.null_stream =
          std::make_shared<CUstream_st>(device, Runtime::get().next_stream_number());
    return device.null_stream;
  }
  const auto found = streams.all.find(handle);
  return found == streams.all.end() ? nullptr : found->second;
}

void destroy_streams(const Device* device) {
  for (const std::shared_ptr<CUstream_st>& stream : streams_of(device)) {
    Streams& streams = Streams::get();
    const std::scoped_lock lock(streams.mutex);
    if (streams.all.erase(stream.get()) > 0) --Runtime::get().counters.streams;
    if (stream->device.null_stream == stream) stream->device.null_stream = nullptr;
  }
}

void synchronize_streams(const Device& device) {
  for (const std::shared_ptr<CUstream_st>& stream : streams_of(&device)) stream->synchronize();
}

std::vector<int> stream_priorities() {
  std::vector<int> priorities;
  for (const std::shared_ptr<CUstream_st>& stream : streams_of(nullptr))
    priorities.push_back(stream->priority);
  std::ranges::sort(priorities);
  return priorities;
}

}  // namespace cuda_emulator

using namespace cuda_emulator;

CUstream_st::CUstream_st(Device& of, std::uint64_t number, int with_priority)
    : device(of),
      priority(with_priority),
      random(Runtime::get().seed(), number),
      thread_([this] { work(); }) {}

CUstream_st::~CUstream_st() {
  {
    const HiddenLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

cudaError_t CUstream_st::submit(Operation operation) {
  if (capture != nullptr) return capture->add(*this, std::move(operation));
  if (!operation.is_event) begin_use();
  release(&order_in_);
  const HiddenLock lock(mutex_);
  queue_.push_back(std::move(operation));
  ++submitted_;
  changed_.notify_all();
  return cudaSuccess;
}

void CUstream_st::synchronize() {
  {
    HiddenLock lock(mutex_);
    const std::uint64_t all = submitted_;
    changed_.wait(lock.get(), [&] { return done_ >= all; });
  }
  close_unused();
  acquire(&order_out_);
}

bool CUstream_st::idle() {
  {
    HiddenLock lock(mutex_);
    if (!changed_.wait_for(lock.get(), kPatience, [this] { return done_ == submitted_; }))
      return false;
  }
  close_unused();
  acquire(&order_out_);
  return true;
}

void CUstream_st::work() {
  for (;;) {
    Operation operation;
    {
      HiddenLock lock(mutex_);
      changed_.wait(lock.get(), [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      operation = std::move(queue_.front());
      queue_.pop_front();
    }
    acquire(&order_in_);
    delay();
    if (operation.is_event || device.failure.load(std::memory_order_relaxed) == cudaSuccess)
      operation.run(*this);
    if (!operation.is_event) end_use();
    {
      const Hidden hidden;
      operation = {};
    }
    release(&order_out_);
    const HiddenLock lock(mutex_);
    ++done_;
    changed_.notify_all();
  }
}

void CUstream_st::delay() {
  if (!random.on()) return;
  const std::uint64_t drawn = random.below(64);
  if (drawn < 4)
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(200)));
  else if (drawn < 16)
    std::this_thread::yield();
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int priority) {
  return api(__func__, [&] {
    Runtime& runtime = Runtime::get();
    auto fresh = std::make_shared<CUstream_st>(*runtime.current_device(),
                                               runtime.next_stream_number(), priority);
    *stream = fresh.get();
    ++runtime.counters.streams;
    Streams& streams = Streams::get();
    const std::scoped_lock lock(streams.mutex);
    streams.all.emplace(*stream, std::move(fresh));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (const auto failure = Runtime::get().failure_of(__func__))
    return remember(static_cast<cudaError_t>(*failure));
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return api(__func__, [&] {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    *priority = on.priority;
    return cudaSuccess;
  });
}

// Handles are freed where the device has failed too.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::shared_ptr<CUstream_st> last;
  {
    Streams& streams = Streams::get();
    const std::scoped_lock lock(streams.mutex);
    const auto found = streams.all.find(stream);
    if (found == streams.all.end()) return remember(cudaErrorInvalidResourceHandle);
    last = std::move(found->second);
    streams.all.erase(found);
  }
  --Runtime::get().counters.streams;
  return remember(state_of_device());
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    if (const cudaError_t refused = refuse_in_capture(on); refused != cudaSuccess) return refused;
    count(Runtime::get().counters.host_synchronizations);
    on.synchronize();
    return on.device.failure.load();
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return stream_api(__func__, stream, [&](CUstream_st& on) {
    if (const cudaError_t refused = refuse_in_capture(on); refused != cudaSuccess) return refused;
    if (!on.idle()) return cudaErrorNotReady;
    return on.device.failure.load();
  });
}

// Of all streams, those that other threads capture too: it invalidates what is captured.
cudaError_t cudaDeviceSynchronize() {
  return api(__func__, [] {
    if (const cudaError_t refused = refuse_in_capture(); refused != cudaSuccess) return refused;
    Device& device = *Runtime::get().current_device();
    for (const std::shared_ptr<CUstream_st>& stream : streams_of(&device)) {
      if (const cudaError_t refused = refuse_in_capture(*stream); refused != cudaSuccess)
        return refused;
    }
    count(Runtime::get().counters.host_synchronizations);
    synchronize_streams(device);
    return device.failure.load();
  });
}
