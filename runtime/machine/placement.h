// placement: which cores and which kernels each rank has, agreed by all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/device/cpu/cpu_device.h"
#include "runtime/machine/machine_options.h"

namespace initrt {

struct CpuPlacement {
  InstructionSet instruction_set = InstructionSet::Portable;  ///< the least of all ranks' best
  unsigned threads = 1;
  bool spin = false;    ///< whether every thread has a core, and so may wait without sleeping
  std::string warning;  ///< what a person should know about the ranks' cores: on one rank of them
};

/// Bit mask of the cores that this process may use.
[[nodiscard]] std::vector<std::uint64_t> allowed_cores();

/// This node's name, as its system gives it.
[[nodiscard]] std::string host_name();

/// FNV-1a: the same on every node.
[[nodiscard]] std::uint64_t hash_of(std::span<const std::byte> bytes);

/// The same number on every rank of a node.
[[nodiscard]] std::uint64_t node_id();

/// Collective. Cores that several ranks of a node may use are shared out among them.
[[nodiscard]] CpuPlacement place_on_cpu(const MachineOptions& options, Communicator& comm);

/// What one rank tells the others about where it is.
struct RankSite {
  std::uint64_t node = 0;            ///< the same on ranks of one node
  std::vector<std::uint64_t> cores;  ///< bit mask of the cores it may use
};

/// What a rank shares, and with how many ranks, itself counted.
struct SharedCores {
  unsigned ranks_on_cores, cores;  ///< those that it may use
  unsigned ranks_on_node, quota;   ///< cores' worth of time: cpu_quota()
};

/// Whether every thread has a core and time on it: one that waits without sleeping uses up its
/// control group's quota as one that computes does.
[[nodiscard]] bool may_spin(std::uint64_t threads, const SharedCores& shared);

/// How many of its cores are a rank's own once those it shares are divided; at least 1.
[[nodiscard]] unsigned share_of_cores(const std::vector<RankSite>& sites, std::size_t rank);

}  // namespace initrt
