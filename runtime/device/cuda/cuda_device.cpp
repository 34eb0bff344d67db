// What the device is and how memory moves; cuda_ops.cpp has the ops.
#include "runtime/device/cuda/cuda_device.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/load_kernels.h"
#include "runtime/device/cuda/uploader.h"
#include "sharding/error.h"

namespace initrt::cuda {
namespace {

class CudaDownload final : public Download {
 public:
  CudaDownload(int gpu, cudaStream_t stream) : gpu_(gpu), copied_(stream) {}
  bool done() override {
    check(cudaSetDevice(gpu_), "choosing the GPU");
    return copied_.passed();
  }

 private:
  const int gpu_;
  const CudaFence copied_;
};

}  // namespace

CudaDevice::CudaDevice(unsigned gpu, const DeviceOptions& options)
    : gpu_(static_cast<int>(gpu)), direct_(options.direct) {
  use();
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, gpu_), "asking what the GPU is");
  name_ = fmt::format("cuda {}", static_cast<const char*>(properties.name));
  check(cudaFree(nullptr), "starting the GPU");  // a context, before what it takes is asked for
  used_at_start_ = memory().now;
  load_kernels();
  linear_.emplace(options.tf32, options.note, options.note_own);
  stream_ = make_stream();
  downloads_ = make_stream();
  stores_ = make_stream();
  clock_stream_ = make_stream();
  done_ = make_event();
  stored_ = make_event(/*blocking=*/true);
}

void CudaDevice::use() const { check(cudaSetDevice(gpu_), "choosing the GPU"); }

GpuMemory CudaDevice::memory() const {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the GPU's memory");
  return {total, used_at_start_, total - free};
}

Buffer CudaDevice::allocate(Ledger& ledger, std::span<const BufferPart> parts) {
  return allocate_device_memory(ledger, parts);
}

Buffer CudaDevice::allocate_host(Ledger& ledger, MemoryCategory category, std::uint64_t bytes) {
  const BufferPart part{category, bytes};
  return allocate_pinned_memory(ledger, std::span(&part, 1));
}

void CudaDevice::write(std::span<const std::byte> from, std::byte* to) {
  if (!from.empty() && ring_.most() == 0) {
    fail("cuda: {} bytes to write, and no pinned memory yet to write them through", from.size());
  }
  while (!from.empty()) {
    const std::span<const std::byte> some = from.first(std::min(from.size(), ring_.most()));
    upload(std::as_bytes(std::span(pinned(some), some.size())), to);
    from = from.subspan(some.size());
    to += some.size();
  }
}

void CudaDevice::upload(std::span<const std::byte> from, std::byte* to) {
  if (from.empty()) return;
  check(cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyHostToDevice, stream()),
        "copying to the GPU");
}

void CudaDevice::store(std::span<const std::byte> from, std::byte* to) {
  if (from.empty()) return;
  use();
  check(cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyHostToDevice, stores_.get()),
        "copying to the GPU");
  check(cudaEventRecord(stored_.get(), stores_.get()), "recording an event");
  check(cudaEventSynchronize(stored_.get()), "copying to the GPU");
}

void CudaDevice::read(const std::byte* from, std::span<std::byte> to) {
  if (to.empty()) return;
  check(cudaMemcpyAsync(to.data(), from, to.size(), cudaMemcpyDeviceToHost, stream()),
        "copying from the GPU");
}

std::shared_ptr<Download> CudaDevice::start_download(const std::byte* from,
                                                     std::span<std::byte> to) {
  use();
  check(cudaMemcpyAsync(to.data(), from, to.size(), cudaMemcpyDeviceToHost, downloads_.get()),
        "copying from the GPU");
  return std::make_shared<CudaDownload>(gpu_, downloads_.get());
}

void CudaDevice::copy(std::span<const CopyPiece> pieces) { cuda::copy(stream(), pieces); }

StampHandle CudaDevice::stamp(cudaStream_t stream) {
  renew(clock_, clock_stream_.get());
  return std::make_shared<CudaStamp>(stream, clock_);
}

void CudaDevice::synchronize() {
  check(cudaEventRecord(done_.get(), stream()), "recording an event");
  wait_for(done_.get());
}

void CudaDevice::wait_for(cudaEvent_t event) const {
  while (true) {
    // Many looks at the event for one at the world, which takes a lock.
    for (int look = 0; look < 64; ++look) {
      if (has_passed(event)) return;
    }
    if (watch_) watch_();
    std::this_thread::yield();
  }
}

std::vector<std::unique_ptr<Uploader>> CudaDevice::make_uploaders(Ledger& ledger,
                                                                  const StagingRing& ring) {
  return make_cuda_uploaders(gpu_, ledger, ring, direct_);
}

std::unique_ptr<Device> make_device(unsigned gpu, const DeviceOptions& options) {
  return std::make_unique<CudaDevice>(gpu, options);
}

GpuMemory memory_of(const Device& device) {
  return dynamic_cast<const CudaDevice&>(device).memory();
}

}  // namespace initrt::cuda
