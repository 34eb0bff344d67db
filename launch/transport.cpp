#include "launch/transport.h"

#include "sharding/error.h"

namespace initrt {

namespace {

// Every rank maps every rank's chunk of every unit, with a gap behind each unit. Linux lets a
// process have 65530 mappings unless vm.max_map_count says otherwise; some are left for everything
// else.
bool can_map(std::uint32_t world, std::uint64_t units) {
  return units * (std::uint64_t{world} + 1) <= 60'000;
}

}  // namespace

Transport choose_transport(const Job& job, std::uint32_t world, bool one_node,
                           std::uint64_t units) {
  const std::string& wanted = job.sharding.communicator;
  if (world == 1) return Transport::Self;  // nobody to share with
  if (wanted == "self") {
    fail("sharding.communicator is self, which is for one rank, but there are {}", world);
  }
  if (wanted == "mapped" && !one_node) {
    fail(
        "sharding.communicator is mapped, which is for the ranks of one node, but these are on "
        "several: use mpi or auto");
  }
  if (wanted == "mapped") return Transport::Mapped;
  return wanted != "mpi" && one_node && can_map(world, units) ? Transport::Mapped : Transport::Mpi;
}

}  // namespace initrt
