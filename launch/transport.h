// Which transport a job's ranks share units over.
#pragma once

#include "launch/job.h"
#include "runtime/exec/instance.h"

namespace initrt {

/// sharding.communicator, with "auto" decided: self for one rank, mapped for one node that can map
/// so many units, else mpi.
/// @throws Error where the job asks for one that cannot serve these ranks
[[nodiscard]] Transport choose_transport(const Job& job, std::uint32_t world, bool one_node,
                                         std::uint64_t units);

}  // namespace initrt
