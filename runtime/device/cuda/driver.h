// Functions of the CUDA driver for which its runtime has none. Nothing links the driver: they are
// asked for where it is there. Their types are said here in the driver's own ABI, so that its
// header is not needed.
#pragma once

#include <array>
#include <cstdint>

namespace initrt::cuda::driver {

/// What CUDA knows a device by: of a part of a GPU (MIG) its own, where the runtime's properties
/// may have the whole GPU's. False, and `uuid` as it was, where the driver does not tell.
/// @param device index among those that are visible
[[nodiscard]] bool uuid_of(int device, std::array<std::uint8_t, 16>& uuid);

/// Has a kernel loaded now and not when it is first started; nothing where the driver cannot be
/// asked (before CUDA 12.4). @param kernel what cudaLaunchKernel takes
void load(const void* kernel);

}  // namespace initrt::cuda::driver
