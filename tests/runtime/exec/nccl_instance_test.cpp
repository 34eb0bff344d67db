// What a rank on a GPU does before its first sweep, seen on the CUDA emulator: what it takes of the
// GPU and when, and what would otherwise happen for the first time beside a collective.
#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "cuda_emulator/control.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

constexpr std::size_t kCommunicatorBytes = 1 << 20;

class NcclInstance : public ::testing::Test {
 protected:
  NcclInstance() {
    ::setenv("INITRT_TEST_DEVICE", "cuda", 1);
    cuda_emulator::set_devices(std::vector<cuda_emulator::DeviceDescription>(2));
    setting_.world = 2;
    setting_.transport = Transport::Nccl;
    setting_.sweep_rows = setting_.logit_rows = 70;  // more than a block of a product's rows
    setting_.context = 80;
  }
  ~NcclInstance() override { ::unsetenv("INITRT_TEST_DEVICE"); }

  const SmallCheckpoint checkpoint_;
  const OpenModel model_ = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
  Setting setting_;
};

TEST_F(NcclInstance, ConnectsBeforeItAllocates) {
  cuda_emulator::set_communicator_bytes(kCommunicatorBytes);
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    std::size_t used = 0;
    const auto note_used = [&] {
      std::size_t free = 0, total = 0;
      ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
      used = total - free;
    };
    RankModel rank(model_, setting_, comm, {}, {}, nullptr, note_used);
    EXPECT_EQ(used, kCommunicatorBytes) << "what is left can be asked then";
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST_F(NcclInstance, GathersFromAndToMemoryOfNccls) {
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    const RankModel rank(model_, setting_, comm);
    std::vector<std::byte> mine(1), all(2);
    comm.all_gather(mine, all);  // both are there
    const MemoryPlan& plan = rank.placement().memory;
    const std::uint64_t each =
        plan[MemoryCategory::Shard] + plan[MemoryCategory::Resident] + plan[MemoryCategory::Slots];
    EXPECT_EQ(cuda_emulator::counters().nccl_bytes, static_cast<std::int64_t>(2 * each));
    comm.all_gather(mine, all);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
  EXPECT_EQ(cuda_emulator::counters().nccl_bytes, 0);
  EXPECT_EQ(cuda_emulator::counters().device_bytes, 0);
}

TEST_F(NcclInstance, TakesOrdinaryMemoryWhereNcclHasNone) {
  cuda_emulator::fail_call("ncclMemAlloc", 4);
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    RankModel rank(model_, setting_, comm);
    rank.load();
    EXPECT_EQ(score_all(rank.engine(), std::vector<TokenId>{1, 2, 3}, 3).size(),
              3 * model_.graph.vocabulary);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

// Ranks tell each other of scales by the base communicator while units load.
TEST_F(NcclInstance, GathersWeightsWhoseScalesBecomeCodesWhileTheyLoad) {
  const OpenModel model = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true", "nf4-dq");
  const std::vector<TokenId> tokens = {3, 508, 0, 77, 250};
  std::vector<float> expected;
  const auto alone = run_world(model, {}, [&](std::uint32_t, RankModel& rank) {
    expected = score_all(rank.engine(), tokens, 3);
  });
  EXPECT_THAT(alone, Each(IsEmpty()));
  for (const Move move : {Move::Weights, Move::Activations}) {
    setting_.move = move;
    const auto failures = run_world(model, setting_, [&](std::uint32_t, RankModel& rank) {
      EXPECT_EQ(score_all(rank.engine(), tokens, 3), expected) << name(move);
    });
    EXPECT_THAT(failures, Each(IsEmpty()));
  }
}

TEST_F(NcclInstance, GathersAheadOfWhatTheGpuComputes) {
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    const RankModel rank(model_, setting_, comm);
    std::vector<std::byte> mine(1), all(2);
    comm.all_gather(mine, all);
    const std::vector<int> priorities = cuda_emulator::stream_priorities();
    EXPECT_EQ(priorities.at(0), -5);
    EXPECT_EQ(priorities.at(1), -5);
    EXPECT_EQ(priorities.at(2), 0) << "one stream of each rank";
    comm.all_gather(mine, all);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST_F(NcclInstance, HasLoadedWhatASweepRunsBeforeTheFirst) {
  std::vector<TokenId> tokens(70);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<TokenId>(i * 7);
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    RankModel rank(model_, setting_, comm);
    std::vector<std::byte> mine(1), all(2);
    comm.all_gather(mine, all);
    const cuda_emulator::Counters before = cuda_emulator::counters();
    EXPECT_EQ(before.lazy_loads, 0u) << "kernels that had not been loaded when they were launched";
    EXPECT_GT(before.product_loads, 0u);
    comm.all_gather(mine, all);
    rank.load();
    for (const std::uint32_t chunk : {1u, 5u, 70u}) {
      EXPECT_EQ(score_all(rank.engine(), tokens, chunk).size(), 70 * model_.graph.vocabulary);
    }
    comm.all_gather(mine, all);
    const cuda_emulator::Counters after = cuda_emulator::counters();
    EXPECT_EQ(after.lazy_loads, 0u);
    EXPECT_EQ(after.product_loads, before.product_loads) << "products of a new sort";
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

}  // namespace
}  // namespace initrt::testing
