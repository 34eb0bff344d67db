// Memory that the processes of a node can map: a file without a name.
#pragma once

#include <cstdint>

#include "runtime/comm/descriptor_exchange.h"

namespace initrt {

/// A file of `bytes` zeros in memory, which madvise() can have huge pages for where the kernel has
/// any. Most kernels keep those from memfds (shmem_enabled is "never"), but not from a tmpfs that
/// is mounted for them: one of its own then, mounted nowhere, and gone with its last descriptor.
/// @throws ResourceError where the memory cannot be had
[[nodiscard]] Descriptor make_shared_file(std::uint64_t bytes);

/// A file of a tmpfs with huge pages on demand; none where the kernel refuses. Needs to be root.
[[nodiscard]] Descriptor make_tmpfs_file();
/// The same by a child in a user namespace of its own, as anybody may where those are allowed.
[[nodiscard]] Descriptor make_tmpfs_file_in_namespace();

}  // namespace initrt
