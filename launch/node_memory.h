// Whether what the ranks of a node plan to allocate fits the node, asked before it is allocated:
// the kernel would end one of them in the middle of loading, without a word.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/comm/communicator.h"

namespace initrt {

/// Bytes that a node's processes may use together.
struct NodeMemory {
  std::uint64_t total = 0;  ///< memory and swap, or this process's control group's limit if less
  std::uint64_t available = 0;  ///< without what is in use and cannot be given back
};

/// From the text of /proc/meminfo, and the lowest limit of this process's control groups.
/// @param limit bytes; UINT64_MAX for none
[[nodiscard]] NodeMemory parse_node_memory(const std::string& meminfo, std::uint64_t limit);

/// Of the node this process is on.
[[nodiscard]] NodeMemory node_memory();

/// What a person should know where `ranks` ranks of one node plan `planned` bytes together: nothing
/// where they are available. @throws Error where they can never be
[[nodiscard]] std::string memory_warning(std::uint64_t planned, std::uint32_t ranks,
                                         const NodeMemory& memory);

/// The same for this rank's node. Collective. @param planned bytes of this rank
/// @param node the same number on ranks of one node
[[nodiscard]] std::string check_node_memory(Communicator& comm, std::uint64_t node,
                                            std::uint64_t planned);

}  // namespace initrt
