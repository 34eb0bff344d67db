#include "runtime/machine/transport.h"

#include <cstdlib>

#include "runtime/comm/nccl/nccl.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Every rank maps every rank's chunk of every unit, with a gap behind each unit. Linux lets a
// process have 65530 mappings unless vm.max_map_count says otherwise; some are left for everything
// else.
bool can_map(std::uint32_t world, std::uint64_t units) {
  return units * (std::uint64_t{world} + 1) <= 60'000;
}

// A job's value has been checked; another program's has not.
void check(const std::string& wanted) {
  for (const char* known : {"auto", "self", "mapped", "mpi", "nccl"}) {
    if (wanted == known) return;
  }
  fail("sharding.communicator is {}, expected \"auto\", \"self\", \"mapped\", \"mpi\" or \"nccl\"",
       quote(wanted));
}

}  // namespace

Transport choose_transport(const MachineOptions& options, const Ranks& ranks, std::uint64_t units) {
  const std::string& wanted = options.communicator;
  check(wanted);
  const bool gpus = ranks.device == DeviceKind::Cuda;
  if (wanted == "nccl") {
    if (!gpus) fail("sharding.communicator is nccl, which is for GPUs, but the ranks use CPUs");
    if (ranks.share_gpus && std::getenv("NCCL_MULTI_RANK_GPU_ENABLE") == nullptr) {
      fail(
          "sharding.communicator is nccl, but some ranks share a GPU: use mpi or auto, or NCCL "
          "2.30 or later with NCCL_MULTI_RANK_GPU_ENABLE=1");
    }
    return Transport::Nccl;  // also of one rank, for whoever wants to see it
  }
  if (ranks.world == 1) return Transport::Self;  // nobody to share with
  if (wanted == "self") {
    fail("sharding.communicator is self, which is for one rank, but there are {}", ranks.world);
  }
  if (wanted == "mapped" && gpus) {
    fail(
        "sharding.communicator is mapped, which is for host memory, but the ranks use GPUs: use "
        "nccl, mpi or auto");
  }
  if (wanted == "mapped" && !ranks.one_node) {
    fail(
        "sharding.communicator is mapped, which is for the ranks of one node, but these are on "
        "several: use mpi or auto");
  }
  if (wanted == "mapped") return Transport::Mapped;
  if (wanted == "mpi") return Transport::Mpi;
  if (gpus) {
    // By what is allowed, as far as a plan can tell.
    const bool apart = !options.share_gpu && !ranks.share_gpus;
    return nccl::is_built() && apart ? Transport::Nccl : Transport::Mpi;
  }
  return ranks.one_node && can_map(ranks.world, units) ? Transport::Mapped : Transport::Mpi;
}

}  // namespace initrt
