// Whether what ranks plan to allocate fits the memory that they share, a node's or a GPU's, asked
// before it is allocated: otherwise the OOM killer ends a rank in the middle of loading.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "runtime/comm/communicator.h"
#include "runtime/machine/limits.h"
#include "sharding/memory_plan.h"

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
/// where they are available. @param node how to name it @throws Error where they can never be
[[nodiscard]] std::string memory_warning(std::uint64_t planned, std::uint32_t ranks,
                                         const NodeMemory& memory,
                                         const std::string& node = "a node");

/// The same for this rank's node. Collective. @param planned bytes of this rank
/// @param node the same number on ranks of one node
[[nodiscard]] std::string check_node_memory(Communicator& comm, std::uint64_t node,
                                            std::uint64_t planned);

/// What one rank's process takes beside what it has; bytes.
struct ProcessNeeds {
  std::uint64_t data = 0;           ///< private memory, as RLIMIT_DATA counts it
  std::uint64_t address_space = 0;  ///< with what ranks share, as RLIMIT_AS does
};

/// For what is planned. @param discrete_memory DeviceNeeds::discrete_memory
/// @param mapped_ranks the ranks whose shards each of them maps; 0: none
[[nodiscard]] ProcessNeeds process_needs(const MemoryPlan& plan, bool discrete_memory,
                                         std::uint32_t mapped_ranks);

/// Why a process cannot have what it needs, or "". @param status the text of /proc/self/status,
/// which says what it has
[[nodiscard]] std::string beyond_process_limits(const ProcessNeeds& needs,
                                                const ProcessLimits& limits,
                                                const std::string& status);

/// Of this process. @throws Error where it cannot have what it needs
void check_process_limits(const ProcessNeeds& needs);

/// What one rank plans on its GPU, and what it was told there.
struct GpuPlan {
  std::array<std::uint8_t, 16> uuid{};  ///< the same on ranks that share a GPU, and only there
  std::uint64_t planned = 0;            ///< bytes
  std::uint64_t free = 0;               ///< bytes that the driver says are not in use
  std::uint64_t margin = 0;             ///< bytes that this rank wants beside the plan
};

/// What a rank should leave of a GPU beside what it plans, in bytes: for kernels and graphs that
/// are loaded later, the trying out of products, and what memory is rounded up to.
[[nodiscard]] std::uint64_t gpu_margin_bytes(std::uint64_t gpu_bytes);

/// Collective; for all ranks, once each has its device and before any allocates. @param gpu its
/// name
/// @throws Error where the ranks of this rank's GPU plan more together than is free, or so much
/// that
///         their margins are not
void check_gpu_memory(Communicator& comm, const GpuPlan& mine, const std::string& gpu);

}  // namespace initrt
