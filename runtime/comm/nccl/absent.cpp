// What there is of NCCL in a program that was built without.
#include "runtime/comm/nccl/nccl.h"
#include "sharding/error.h"

namespace initrt::nccl {

bool is_built() { return false; }

std::unique_ptr<Exchange> make_exchange(DeviceMemory&, Communicator&, bool) {
  fail("this initrt was built without NCCL: build it where NCCL is, or use the communicator mpi");
}

}  // namespace initrt::nccl
