#include "launch/transport.h"

#include "sharding/error.h"

namespace initrt {

Transport choose_transport(const Job& job, std::uint32_t world, bool one_node) {
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
  if (wanted == "mpi") return Transport::Mpi;
  return one_node ? Transport::Mapped : Transport::Mpi;
}

}  // namespace initrt
