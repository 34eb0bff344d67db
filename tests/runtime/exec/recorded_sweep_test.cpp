// Sweeps that a GPU records and runs again, on the emulator, where recording fails.
#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cuda_emulator/control.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

/// Logits of twelve tokens, two in a sweep, on ranks that gather every unit once, and how many
/// graphs were launched for them.
std::pair<std::vector<float>, std::uint64_t> score_twelve(const OpenModel& model) {
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mapped;  // NCCL
  setting.budget = 1u << 30;
  const std::uint64_t before = cuda_emulator::counters().graphs;
  std::vector<float> logits;
  const auto failures = run_world(model, setting, [&](std::uint32_t rank, RankModel& on) {
    const std::vector<TokenId> tokens = {1, 2, 3, 240, 7, 7, 130, 12, 9, 100, 5, 6};
    std::vector<float> mine = score_all(on.engine(), tokens, 2);
    if (rank == 0) logits = std::move(mine);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
  return {logits, cuda_emulator::counters().graphs - before};
}

class RecordedSweep : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("INITRT_TEST_DEVICE", "cuda", 1);
    ::setenv("CUDA_EMULATOR_DEVICES", "2", 1);
    cuda_emulator::reset();
  }

  const SmallCheckpoint checkpoint_;
  const OpenModel model_ = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
};

// All units have been acquired by then, and are once more where the ops are run as they are.
TEST_F(RecordedSweep, RunsAsItIsWhereItCannotBeRecordedOnOneRank) {
  const auto [expected, graphs] = score_twelve(model_);
  ASSERT_GT(graphs, 0u);
  cuda_emulator::fail_call("cudaGraphInstantiate", cudaErrorMemoryAllocation);
  const auto [logits, fewer] = score_twelve(model_);
  EXPECT_LT(fewer, graphs) << "one rank's were not recorded";
  EXPECT_EQ(logits, expected);
}

TEST_F(RecordedSweep, RunsAsItIsWhereItCannotBeRecordedOnAnyRank) {
  const auto [expected, graphs] = score_twelve(model_);
  ASSERT_GT(graphs, 0u);
  for (int rank = 0; rank < 2; ++rank) {
    cuda_emulator::fail_call("cudaGraphInstantiate", cudaErrorMemoryAllocation);
  }
  const auto [logits, none] = score_twelve(model_);
  EXPECT_EQ(none, 0u);
  EXPECT_EQ(logits, expected);
}

}  // namespace
}  // namespace initrt::testing
