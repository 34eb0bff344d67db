// A device on the first GPU with the scratch that its ops need, for tests of ops by themselves.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/device/cuda/gpus.h"
#include "runtime/device/ledger.h"

namespace initrt::test {

class GpuDevice {
 public:
  /// @param dtype, rows, columns, formats as of ProductSizes
  GpuDevice(DType dtype, std::uint64_t rows, std::uint64_t columns,
            const cuda::DeviceOptions& options = {}, WeightFormats formats = {})
      : device_(cuda::make_device(0, options)) {
    const DeviceNeeds needs = device_->needs({dtype, rows, columns, formats});
    scratch_ = make(needs.scratch_bytes);
    pinned_ = make_pinned(needs.pinned_bytes);
    device_->set_scratch(scratch_.span(), pinned_.span(), rows);
  }

  Device* operator->() const { return device_.get(); }

  /// What small writes go through, and what sample() brings back.
  [[nodiscard]] std::uint64_t pinned_bytes() const { return pinned_.bytes(); }

  /// Memory of the device.
  Buffer make(std::uint64_t bytes) {
    return allocate(*device_, ledger_, MemoryCategory::Scratch, bytes);
  }
  /// Memory of the host that the device copies to.
  Buffer make_pinned(std::uint64_t bytes) {
    return device_->allocate_host(ledger_, MemoryCategory::Pinned, bytes);
  }

 private:
  Ledger ledger_;
  const std::unique_ptr<Device> device_;
  Buffer scratch_, pinned_;
};

}  // namespace initrt::test
