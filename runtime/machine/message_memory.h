// The shared memory through which MPI's ranks of a node send each other messages. Open MPI makes a
// file of 4 MiB in /dev/shm for each rank, which takes memory as it is used: where there is none
// left, a write to it ends the rank with a bus error.
#pragma once

#include <cstdint>
#include <string>

namespace initrt {

struct MessageMemory {
  std::uint64_t files = 0;    ///< that MPI's ranks have there
  std::uint64_t to_come = 0;  ///< bytes that those may yet take
  std::uint64_t free = 0;     ///< bytes that the file system has left
};

/// As it is now. @param directory where Open MPI's files are, and other programs' too
[[nodiscard]] MessageMemory message_memory(const std::string& directory = "/dev/shm");

/// What a person should know where it may run out, or "". Not an error: where the kernel copies
/// from process to process (CMA), messages take little of it. @param node how to name it
[[nodiscard]] std::string message_memory_warning(const MessageMemory& memory,
                                                 const std::string& node);

}  // namespace initrt
