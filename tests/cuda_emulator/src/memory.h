// Memory of the devices, and host memory that they may copy from and to by themselves.
#pragma once

#include <cstddef>
#include <optional>

#include "runtime.h"

namespace cuda_emulator {

enum class MemoryKind { Pageable, Pinned, Device };

/// What the `bytes` from `memory` on are; nothing where they begin in an allocation and run past
/// its end.
[[nodiscard]] std::optional<MemoryKind> kind_of(const void* memory, std::size_t bytes);

/// The device whose memory `memory` is in, or null.
[[nodiscard]] Device* device_of(const void* memory);

/// Page-aligned at its end, as nearly as 256 bytes allow, so that the page after it, which nobody
/// may touch, is near.
cudaError_t allocate(Device& device, void** memory, std::size_t bytes);
/// @returns cudaErrorInvalidValue where it is not device memory
cudaError_t deallocate(void* memory);

/// Host memory that the devices know from now on.
/// @param registered it is the caller's to free
void add_host(void* memory, std::size_t bytes, bool registered);
/// Forgets host memory that begins at `memory`; false where there is none of that sort.
[[nodiscard]] bool remove_host(const void* memory, bool registered);

/// Device memory can be touched from begin_use() on: while a stream has work, and, because opening
/// and closing takes time, until the host waits for one and there have been as many end_use().
void begin_use();
void end_use();
void close_unused();

/// All of a device's memory, or all there is, host memory included; its users are gone.
void free_all(const Device* device);

void add_memory(Counters& counters);

}  // namespace cuda_emulator
