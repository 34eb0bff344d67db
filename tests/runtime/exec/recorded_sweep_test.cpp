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

Setting gathering_once() {
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mapped;  // NCCL
  setting.budget = 1u << 30;
  return setting;
}

Setting moving_rows() {
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mapped;  // NCCL
  setting.move = Move::Activations;
  return setting;
}

/// Logits of twelve tokens, two in a sweep, and how many graphs were launched for them.
std::pair<std::vector<float>, std::uint64_t> score_twelve(const OpenModel& model,
                                                          const Setting& setting) {
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
  const auto [expected, graphs] = score_twelve(model_, gathering_once());
  ASSERT_GT(graphs, 0u);
  cuda_emulator::fail_call("cudaGraphInstantiate", cudaErrorMemoryAllocation);
  const auto [logits, fewer] = score_twelve(model_, gathering_once());
  EXPECT_LT(fewer, graphs) << "one rank's were not recorded";
  EXPECT_EQ(logits, expected);
}

TEST_F(RecordedSweep, RunsAsItIsWhereItCannotBeRecordedOnAnyRank) {
  const auto [expected, graphs] = score_twelve(model_, gathering_once());
  ASSERT_GT(graphs, 0u);
  for (int rank = 0; rank < 2; ++rank) {
    cuda_emulator::fail_call("cudaGraphInstantiate", cudaErrorMemoryAllocation);
  }
  const auto [logits, none] = score_twelve(model_, gathering_once());
  EXPECT_EQ(none, 0u);
  EXPECT_EQ(logits, expected);
}

TEST_F(RecordedSweep, HoldsTheExchangesWhereRowsMove) {
  const auto [gathered, gathered_graphs] = score_twelve(model_, gathering_once());
  const auto [moved, graphs] = score_twelve(model_, moving_rows());
  EXPECT_EQ(graphs, 2u * 5) << "each rank's sweeps after the first";
  EXPECT_EQ(moved, gathered);
}

// Of ranks with other numbers of rows, a rank's own may be the same while the exchange is another.
TEST_F(RecordedSweep, GoesByTheRowsOfAllRanks) {
  Setting setting = moving_rows();
  const auto score = [&] {
    std::vector<std::vector<float>> logits(2);
    const auto failures = run_world(model_, setting, [&](std::uint32_t rank, RankModel& on) {
      const std::vector<TokenId> tokens = {1, 2, 3, 240, 7, 7, 130, 12, 9, 100, 5, 6};
      std::uint32_t position = 0;
      for (int sweep = 0; sweep < 6; ++sweep) {
        // Rank 0 always has one row, rank 1 none, one and two in turns; each twice or more.
        const std::uint32_t count = rank == 0 ? 1 : static_cast<std::uint32_t>(sweep) % 3;
        SweepInput input;
        std::vector<RowInfo> rows;
        std::vector<std::uint32_t> wanted;
        for (std::uint32_t i = 0; i < count; ++i) {
          rows.push_back({0, position + i, position + count});
          wanted.push_back(i);
        }
        input.tokens = std::span(tokens).subspan(position, count);
        input.rows = rows;
        input.logit_rows = wanted;
        const std::span<const float> made = on.engine().sweep(input).logits;
        logits[rank].insert(logits[rank].end(), made.begin(), made.end());
        position += count;
      }
    });
    EXPECT_THAT(failures, Each(IsEmpty()));
    return logits;
  };
  const auto expected = [&] {
    setting.transport = Transport::Mpi;  // through the host, which nothing records
    auto logits = score();
    setting.transport = Transport::Mapped;
    return logits;
  }();
  const std::uint64_t before = cuda_emulator::counters().graphs;
  EXPECT_EQ(score(), expected);
  EXPECT_EQ(cuda_emulator::counters().graphs - before, 2u * 3) << "the second of each";
}

TEST_F(RecordedSweep, HoldsExchangesOnAllRanksOrOnNone) {
  const auto [expected, graphs] = score_twelve(model_, moving_rows());
  ASSERT_GT(graphs, 0u);
  cuda_emulator::fail_call("cudaGraphInstantiate", cudaErrorMemoryAllocation);
  const auto [logits, none] = score_twelve(model_, moving_rows());
  EXPECT_EQ(none, 0u) << "though one rank could";
  EXPECT_EQ(logits, expected);
}

}  // namespace
}  // namespace initrt::testing
