// Which transport ranks share units over.
#pragma once

#include "runtime/exec/instance.h"
#include "runtime/machine/device_choice.h"
#include "runtime/machine/machine_options.h"

namespace initrt {

/// The ranks that a transport is chosen for.
struct Ranks {
  std::uint32_t world = 1;
  bool one_node = true;
  DeviceKind device = DeviceKind::Cpu;
  bool share_gpus = false;  ///< some compute on one GPU, or on parts of one
};

/// MachineOptions::communicator, with "auto" decided: self for one rank; on GPUs nccl, if each rank
/// has its own; on CPUs mapped for one node that can map so many units; else mpi.
/// @throws Error where one is asked for that cannot serve these ranks
[[nodiscard]] Transport choose_transport(const MachineOptions& options, const Ranks& ranks,
                                         std::uint64_t units);

}  // namespace initrt
