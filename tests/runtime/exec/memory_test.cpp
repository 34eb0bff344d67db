// What a rank allocates is what the memory plan says, to the byte and by category.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/device/cuda/needs.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

void expect_planned(const OpenModel& model, const Setting& setting) {
  const auto failures = run_ranks(setting.world, [&](Communicator& comm) {
    RankModel rank(model, setting, comm);
    const MemoryPlan planned = rank.placement().memory;
    EXPECT_EQ(rank.ledger().held().bytes, planned.bytes) << setting;
    rank.instance().start_loading();
    const std::vector<TokenId> tokens = {1, 2, 3, 500};
    EXPECT_EQ(score_all(rank.engine(), tokens, 4).size(), 4 * model.graph.vocabulary);
    rank.instance().finish_loading();
    MemoryPlan after = planned;  // the staging ring has been given back
    after[MemoryCategory::Staging] = after[MemoryCategory::Conversion] = 0;
    if (on_gpus()) after[MemoryCategory::Pinned] -= cuda::kUploadTableBytes;
    EXPECT_EQ(rank.ledger().held().bytes, after.bytes) << setting;
    EXPECT_EQ(rank.ledger().peak(), planned.total()) << setting;
  });
  EXPECT_THAT(failures, Each(IsEmpty())) << setting;
}

class PlannedMemory : public ::testing::TestWithParam<bool> {
 protected:
  const SmallCheckpoint checkpoint_{GetParam() ? tied_llama() : SmallLlama{}};
  const OpenModel model_ = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
};

INSTANTIATE_TEST_SUITE_P(Tied, PlannedMemory, ::testing::Bool());

TEST_P(PlannedMemory, IsWhatARankHoldsOnceBuiltAndTheMostItEverHolds) {
  for (const std::uint32_t world : {1u, 2u, 4u}) {
    std::vector<Transport> transports = transports_between(world);
    if (world == 1) transports.push_back(Transport::Self);
    for (const Transport transport : transports) {
      for (const Move move : {Move::Weights, Move::Activations, Move::Auto}) {
        Setting setting;
        setting.world = world;
        setting.transport = transport;
        setting.sequences = 3;
        setting.move = move;
        expect_planned(model_, setting);
      }
    }
  }
}

TEST_P(PlannedMemory, IsHeldWhereWeightsAreQuantized) {
  for (const std::string method : {"llm.int8", "nf4", "nf4-dq"}) {
    const OpenModel model = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true", method);
    for (const std::uint32_t world : {1u, 3u}) {
      Setting setting;
      setting.world = world;
      setting.transport = world == 1 ? Transport::Self : Transport::Mpi;
      setting.move = Move::Auto;
      expect_planned(model, setting);
      EXPECT_LT(place(model, setting).memory[MemoryCategory::Shard],
                place(model_, setting).memory[MemoryCategory::Shard]);
    }
  }
}

TEST_P(PlannedMemory, IsHeldForEveryBudgetAndStaysWithinIt) {
  for (const Transport transport : transports_between(2)) {
    Setting setting;
    setting.world = 2;
    setting.transport = transport;
    setting.prefetch = 0;
    const auto budgeted = [](const MemoryPlan& plan) { return plan.device_total(on_gpus()); };
    const std::uint64_t least = budgeted(place(model_, setting).memory);
    std::vector<std::uint64_t> resident;
    for (const std::uint64_t more : {0ull, 20'000ull, 50'000ull, 100'000ull, 1ull << 30}) {
      setting.budget = least + more;
      const MemoryPlan planned = place(model_, setting).memory;
      EXPECT_LE(budgeted(planned), setting.budget);
      resident.push_back(planned[MemoryCategory::Resident]);
      expect_planned(model_, setting);
    }
    EXPECT_EQ(resident.front(), 0u);
    EXPECT_TRUE(std::is_sorted(resident.begin(), resident.end()));
    EXPECT_EQ(resident.back() > 0, transport == Transport::Mpi || on_gpus());
  }
}

TEST_P(PlannedMemory, HasNoBufferAsLargeAsTheModelWithoutABudget) {
  for (const Transport transport : transports_between(2)) {
    Setting setting;
    setting.world = 2;
    setting.transport = transport;
    const MemoryPlan planned = place(model_, setting).memory;
    // What a GPU's ops need is much for a small model, and goes by rows, not by weights.
    const std::size_t categories =
        on_gpus() ? static_cast<std::size_t>(MemoryCategory::KvCache) : kMemoryCategories;
    for (std::size_t i = 0; i < categories; ++i) {
      EXPECT_LT(planned.bytes[i], model_.layout.bytes());
    }
  }
}

TEST_P(PlannedMemory, HasNoSlotWhereNoSweepGathersUnits) {
  Setting setting;
  setting.world = 3;
  setting.transport = Transport::Mpi;
  EXPECT_GT(place(model_, setting).memory[MemoryCategory::Slots], 0u);
  setting.move = Move::Activations;
  const Placement moving = place(model_, setting);
  EXPECT_EQ(moving.memory[MemoryCategory::Slots], 0u);
  EXPECT_FALSE(moving.moves_weights);
  EXPECT_GT(moving.memory[MemoryCategory::Exchange], 0u);
}

TEST_P(PlannedMemory, IsGivenBackWithTheModel) {
  for (const Transport transport : transports_between(2)) {
    const auto failures = run_ranks(2, [&](Communicator& comm) {
      Setting setting;
      setting.world = 2;
      setting.transport = transport;
      RankModel rank(model_, setting, comm);
      rank.instance().start_loading();
      rank.leave();  // before it is done
      EXPECT_EQ(rank.ledger().held().total(), 0u);
    });
    EXPECT_THAT(failures, Each(IsEmpty()));
  }
}

}  // namespace
}  // namespace initrt::testing
