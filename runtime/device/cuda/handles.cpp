#include "runtime/device/cuda/handles.h"

#include <string>
#include <utility>

#include "sharding/error.h"

namespace initrt::cuda {
namespace {

[[noreturn]] void fail_to_allocate(std::span<const BufferPart> parts, const char* where,
                                   cudaError_t status) {
  std::string available;
  std::size_t free = 0, total = 0;
  cudaGetLastError();  // an allocation that failed leaves nothing else behind
  if (cudaMemGetInfo(&free, &total) == cudaSuccess && std::string_view(where) == "GPU") {
    available = fmt::format("; {} of its {} bytes are free", free, total);
  }
  fail("cannot allocate {} of {} memory: {}{}", describe(parts), where, cudaGetErrorString(status),
       available);
}

Event make_event_with(unsigned flags) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, flags), "making an event");
  return Event(event);
}

}  // namespace

Stream make_stream(Priority priority) {
  int least = 0, greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "asking for priorities");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                     priority == Priority::High ? greatest : least),
        "making a stream");
  return Stream(stream);
}

Event make_event(bool blocking) {
  return make_event_with(cudaEventDisableTiming | (blocking ? cudaEventBlockingSync : 0u));
}

Event make_timed_event(bool blocking) {
  return make_event_with(blocking ? cudaEventBlockingSync : cudaEventDefault);
}

bool has_passed(cudaEvent_t event) {
  const cudaError_t status = cudaEventQuery(event);
  if (status == cudaErrorNotReady) {
    // Not an error, but kept as the thread's last one: whoever asks for that must not find it.
    static_cast<void>(cudaGetLastError());
    return false;
  }
  check(status, "running on the GPU");
  return true;
}

CudaFence::CudaFence(cudaStream_t stream) : event_(make_event()) {
  check(cudaGetDevice(&gpu_), "asking for the GPU");
  check(cudaEventRecord(event_.get(), stream), "recording an event");
}

bool CudaFence::passed() const {
  // Any thread may ask: one that has no GPU yet would otherwise be given the first, and a context.
  check(cudaSetDevice(gpu_), "choosing the GPU");
  return has_passed(event_.get());
}

void run_after(cudaStream_t stream, const FenceHandle& fence) {
  if (!fence) return;
  const cudaEvent_t event = static_cast<const CudaFence&>(*fence).event();
  check(cudaStreamWaitEvent(stream, event, 0), "waiting for an event");
}

Buffer allocate_device_memory(Ledger& ledger, std::span<const BufferPart> parts) {
  const std::uint64_t bytes = bytes_of(parts);
  if (bytes == 0) return {};
  void* memory = nullptr;
  if (const cudaError_t status = cudaMalloc(&memory, bytes); status != cudaSuccess) {
    fail_to_allocate(parts, "GPU", status);
  }
  return take_device_memory(ledger, parts, memory,
                            [](std::byte* data) { static_cast<void>(cudaFree(data)); });
}

// On a stream of its own: to synchronize the whole device would break what another thread records,
// and wait for collectives that are under way.
Buffer take_device_memory(Ledger& ledger, std::span<const BufferPart> parts, void* memory,
                          Buffer::Release release) {
  Buffer buffer(ledger, parts, static_cast<std::byte*>(memory), std::move(release));
  const Stream stream = make_stream();
  check(cudaMemsetAsync(memory, 0, buffer.bytes(), stream.get()), "clearing memory");
  check(cudaStreamSynchronize(stream.get()), "clearing memory");
  return buffer;
}

Buffer allocate_pinned_memory(Ledger& ledger, std::span<const BufferPart> parts) {
  const std::uint64_t bytes = bytes_of(parts);
  if (bytes == 0) return {};
  void* memory = nullptr;
  const cudaError_t status = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
  if (status != cudaSuccess) fail_to_allocate(parts, "pinned", status);
  return {ledger, parts, static_cast<std::byte*>(memory),
          [](std::byte* data) { static_cast<void>(cudaFreeHost(data)); }};
}

}  // namespace initrt::cuda
