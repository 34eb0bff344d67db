#include "runtime/machine/placement.h"

#include <gtest/gtest.h>

#include <limits>

#include "runtime/comm/self.h"
#include "runtime/machine/transport.h"
#include "sharding/error.h"

namespace initrt {
namespace {

TEST(Placement, RanksThatMayUseTheSameCoresShareThem) {
  const RankSite all{1, {0xff}};
  EXPECT_EQ(share_of_cores({all}, 0), 8u);
  EXPECT_EQ(share_of_cores({all, all}, 1), 4u);
  EXPECT_EQ(share_of_cores({all, all, all}, 0), 2u);
}

TEST(Placement, RanksBoundApartAndThoseOfOtherNodesDoNotCount) {
  EXPECT_EQ(share_of_cores({{1, {0x0f}}, {1, {0xf0}}}, 0), 4u);
  EXPECT_EQ(share_of_cores({{1, {0xff}}, {2, {0xff}}}, 1), 8u);
}

TEST(Placement, ThereIsAlwaysOneThread) {
  const RankSite one{1, {1}};
  EXPECT_EQ(share_of_cores({one, one, one, one}, 3), 1u);
}

TEST(Placement, TheJobsThreadsAreTakenAndTooManyAreWarnedOf) {
  SelfCommunicator self;
  MachineOptions options;
  EXPECT_TRUE(place_on_cpu(options, self).warning.empty());
  options.threads = 4096;
  const CpuPlacement many = place_on_cpu(options, self);
  EXPECT_EQ(many.threads, 4096u);
  EXPECT_FALSE(many.spin);
  EXPECT_NE(many.warning.find("4096 threads"), std::string::npos) << many.warning;
}

TEST(Placement, ThreadsSpinOnlyWithinTheirCoresAndTheQuotaOfTime) {
  constexpr unsigned kNone = std::numeric_limits<unsigned>::max();
  EXPECT_TRUE(may_spin(4, {2, 8, 2, kNone}));
  EXPECT_FALSE(may_spin(5, {2, 8, 2, kNone}));
  EXPECT_TRUE(may_spin(1, {2, 8, 2, 2}));
  EXPECT_FALSE(may_spin(4, {2, 8, 2, 2})) << "8 threads, time for 2";
  EXPECT_FALSE(may_spin(1, {1, 1, 4, 2})) << "each rank has a core, but all share the time";
}

TEST(Transport, IsTheOneThatFits) {
  MachineOptions options;
  EXPECT_EQ(choose_transport(options, {1, true}, 100), Transport::Self);
  EXPECT_EQ(choose_transport(options, {4, true}, 100), Transport::Mapped);
  EXPECT_EQ(choose_transport(options, {4, false}, 100), Transport::Mpi);
  EXPECT_EQ(choose_transport(options, {4, true}, 12'000), Transport::Mapped);
  EXPECT_EQ(choose_transport(options, {4, true}, 12'001), Transport::Mpi) << "too many mappings";
  options.communicator = "mpi";
  EXPECT_EQ(choose_transport(options, {4, true}, 100), Transport::Mpi);
  options.communicator = "mapped";
  EXPECT_EQ(choose_transport(options, {4, true}, 100), Transport::Mapped);
  EXPECT_THROW((void)choose_transport(options, {4, false}, 100), Error);
  options.communicator = "self";
  EXPECT_EQ(choose_transport(options, {1, true}, 100), Transport::Self);
  EXPECT_THROW((void)choose_transport(options, {2, true}, 100), Error);
  options.communicator = "MPI";
  EXPECT_THROW((void)choose_transport(options, {1, true}, 100), Error) << "no such one";
}

TEST(Device, OfNoKnownKindIsAnError) {
  SelfCommunicator self;
  MachineOptions options;
  options.device = "gpu";
  EXPECT_THROW((void)choose_device(options, self), Error);
}

}  // namespace
}  // namespace initrt
