// The GPUs that this process may use, and the device on one of them. The one header of the backend
// that the rest of the program includes: it is there also where the program is built without CUDA.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/device/device.h"

namespace initrt::cuda {

/// A GPU, or a part of one (MIG), as the driver shows it.
struct Gpu {
  std::array<std::uint8_t, 16> uuid{};  ///< what it is known by; parts have their own
  std::string name;                     ///< e.g. "NVIDIA H100 80GB HBM3"
  std::string bus_id;                   ///< PCI, e.g. "0000:17:00.0"; parts of a GPU share it
};

/// Whether this program was built with the backend at all.
[[nodiscard]] bool is_built();

/// Sets what CUDA reads from the environment when it starts; what a person has set stands. For the
/// beginning of the program, before other threads and before MPI, which may start CUDA too.
void set_environment();

/// What CUDA_VISIBLE_DEVICES leaves, in CUDA's order; none where there is no driver either.
/// @throws Error where the driver is too old, or fails
[[nodiscard]] std::vector<Gpu> visible_gpus();

/// What the driver says of a device's memory, in bytes.
struct GpuMemory {
  std::uint64_t total = 0;
  std::uint64_t at_start = 0;  ///< in use once this process had a context: its own, and others'
  std::uint64_t now = 0;       ///< in use now
};

struct DeviceOptions {
  /// Whether files may be read straight into the GPU's memory, where that is possible.
  bool direct = true;
  /// Whether products of 32-bit matrices may round what they multiply to TF32 (10 bits of
  /// mantissa): many times as fast, and no longer float32.
  bool tf32 = false;
  /// Told what a person may want to know of how the device will compute; may be empty. `note` is
  /// of what goes by the sort of GPU, alike on all ranks; `note_own` of this GPU's, such as memory.
  std::function<void(const std::string&)> note = {}, note_own = {};
};

/// The device on the GPU of that index. It becomes the calling thread's.
/// @throws Error where it cannot be used
[[nodiscard]] std::unique_ptr<Device> make_device(unsigned gpu, const DeviceOptions& options = {});

/// @param device of make_device()
[[nodiscard]] GpuMemory memory_of(const Device& device);

}  // namespace initrt::cuda
