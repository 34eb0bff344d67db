// The communicator of a world of one.
#include "runtime/comm/self.h"

#include <gtest/gtest.h>

#include "sharding/error.h"
#include "tests/runtime/comm/collective_checks.h"

namespace initrt {
namespace {

TEST(SelfCommunicator, IsAWorldOfOne) {
  SelfCommunicator comm;
  EXPECT_EQ(comm.rank(), 0u);
  EXPECT_EQ(comm.size(), 1u);
  collective_checks::every_collective(comm);
  EXPECT_NO_THROW(comm.check());
}

TEST(SelfCommunicator, AnErrorInReadyIsThrownByWait) {
  SelfCommunicator comm;
  std::vector<std::byte> chunk(1), whole(1);
  const TransferHandle transfer =
      comm.start_all_gather([]() -> bool { fail("the disk is gone"); }, chunk, whole);
  EXPECT_THROW(comm.wait(transfer), Error);
}

}  // namespace
}  // namespace initrt
