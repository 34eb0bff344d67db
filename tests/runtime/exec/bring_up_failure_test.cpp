// A rank that fails while it is brought up tells the others before it gives anything back: that may
// wait for them, and they for what it will not come to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/comm/forwarding.h"
#include "runtime/device/cpu/cpu_device.h"
#include "runtime/exec/instance.h"
#include "sharding/error.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::EndsWith;
using ::testing::HasSubstr;

/// Notes what is held when the world is told.
class WatchedCommunicator final : public ForwardingCommunicator {
 public:
  WatchedCommunicator(Communicator& base, const Ledger& ledger)
      : ForwardingCommunicator(base), ledger_(ledger) {}

  void fail_world(const std::string& message) override {
    told = message;
    held_when_told = ledger_.held().total();
    ForwardingCommunicator::fail_world(message);
  }

  std::string told;
  std::uint64_t held_when_told = 0;

 private:
  const Ledger& ledger_;
};

class BringUpFailure : public ::testing::TestWithParam<Transport> {};
INSTANTIATE_TEST_SUITE_P(Transports, BringUpFailure,
                         ::testing::Values(Transport::Mapped, Transport::Mpi),
                         [](const auto& of) { return std::string(name(of.param)); });

TEST_P(BringUpFailure, IsToldBeforeAnythingIsGivenBack) {
  constexpr std::uint32_t kWorld = 3, kBadRank = 1;
  const SmallCheckpoint checkpoint, copy;  // the bad rank's has gone
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  const OpenModel bad_model = open_checkpoint_as(copy.directory.path(), "bf16-true");
  for (const std::string& file : copy.files) std::filesystem::remove(copy.directory.file(file));
  InstanceOptions options;
  options.transport = GetParam();
  options.shape.gather = gather_kind(GetParam());
  options.shape.sweep_rows = options.shape.logit_rows = 4;
  options.shape.context = 8;
  options.staging = make_staging_ring(kMinStagingBytes);
  options.shape.staging_bytes = options.staging.bytes();
  options.spin = false;
  options.describe_failure = [](const std::exception& error) {
    return std::string(error.what()) + "; and its limits";
  };
  const auto failures = run_ranks(kWorld, [&](Communicator& base) {
    const OpenModel& mine = base.rank() == kBadRank ? bad_model : model;
    const auto device = make_cpu_device(InstructionSet::Portable, 1, false);
    RunShape shape = options.shape;
    shape.device =
        device->needs({mine.layout.dtype, shape.sweep_rows, widest_linear_input(mine.graph)});
    InstanceOptions own = options;
    own.shape = shape;
    const Placement placement = plan_memory(mine.graph, mine.layout, kWorld, shape);
    Ledger ledger;
    WatchedCommunicator comm(base, ledger);
    try {
      Instance instance(mine.view(), placement, std::move(own), comm, *device, ledger);
      EXPECT_NE(base.rank(), kBadRank);
      instance.start_loading();
      const std::vector<TokenId> tokens = {1, 2, 3};
      (void)score_all(instance.engine(), tokens, 2);
    } catch (const Error&) {
      EXPECT_EQ(ledger.held().total(), 0u);
      if (base.rank() == kBadRank) {
        EXPECT_THAT(comm.told,
                    AllOf(HasSubstr(copy.directory.path()), EndsWith("; and its limits")));
        EXPECT_GE(comm.held_when_told, placement.cut.memory_bytes());
      }
      throw;
    }
  });
  EXPECT_THAT(failures, Each(HasSubstr(copy.directory.path())));
}

}  // namespace
}  // namespace initrt::testing
