// One rank down, all down: whatever fails on one rank, at whatever place, every rank's waits end,
// with the cause, and everything is given back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "sharding/error.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t kWorld = 3;
constexpr std::uint32_t kBadRank = 1;

using Way = std::pair<Transport, Move>;

class Failure : public ::testing::TestWithParam<Way> {
 protected:
  const SmallCheckpoint checkpoint_, copy_;  // the bad rank reads the copy
  const OpenModel model_ = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
  const OpenModel bad_model_ = open_checkpoint_as(copy_.directory.path(), "bf16-true");

  [[nodiscard]] static Setting setting() {
    Setting setting;
    setting.world = kWorld;
    setting.transport = GetParam().first;
    setting.move = GetParam().second;
    setting.prefetch = 3;
    return setting;
  }

  [[nodiscard]] const OpenModel& model_of(std::uint32_t rank) const {
    return rank == kBadRank ? bad_model_ : model_;
  }

  static void generate_a_little(RankModel& rank) {
    const std::vector<TokenId> tokens = {1, 2, 3, 4, 5};
    (void)score_all(rank.engine(), tokens, 2);
    rank.instance().finish_loading();
  }
};

INSTANTIATE_TEST_SUITE_P(Ways, Failure,
                         ::testing::Values(Way{Transport::Mapped, Move::Weights},
                                           Way{Transport::Mpi, Move::Weights},
                                           Way{Transport::Mapped, Move::Activations},
                                           Way{Transport::Mpi, Move::Activations}),
                         [](const auto& of) {
                           return std::string(name(of.param.first)) + "_" +
                                  std::string(name(of.param.second));
                         });

TEST_P(Failure, BeforeARankHasItsModel) {
  const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
    if (comm.rank() == kBadRank) fail("no memory");
    RankModel rank(model_, setting(), comm);
    rank.instance().start_loading();
    generate_a_little(rank);
  });
  EXPECT_THAT(failures, Each(HasSubstr("no memory")));
}

TEST_P(Failure, OfAFileThatHasGoneSincePlanning) {
  for (const std::string& file : copy_.files) std::filesystem::remove(copy_.directory.file(file));
  const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
    RankModel rank(model_of(comm.rank()), setting(), comm);
    rank.instance().start_loading();
    generate_a_little(rank);
  });
  EXPECT_THAT(failures, Each(HasSubstr(copy_.directory.path())));
}

TEST_P(Failure, OfAFileThatHasChangedSincePlanning) {
  for (const std::string& file : copy_.files) {
    std::filesystem::resize_file(copy_.directory.file(file), 1000);
  }
  const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
    RankModel rank(model_of(comm.rank()), setting(), comm);
    rank.instance().start_loading();
    generate_a_little(rank);
  });
  EXPECT_THAT(failures, Each(HasSubstr("changed since its header was read")));
}

TEST_P(Failure, OfAFileThatIsCutWhileItIsRead) {
  const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
    RankModel rank(model_of(comm.rank()), setting(), comm);
    if (comm.rank() == kBadRank) {
      std::filesystem::resize_file(copy_.directory.file(copy_.files.back()), 30'000);
    }
    rank.instance().start_loading();
    generate_a_little(rank);
  });
  // By a read of what is gone, or by one of what is still there.
  EXPECT_THAT(failures, Each(::testing::AnyOf(HasSubstr("truncated while it was read"),
                                              HasSubstr("written while it was read"))));
}

TEST_P(Failure, OfLoadingAtAnyUnit) {
  for (std::uint32_t unit = 0; unit < model_.graph.units.size(); ++unit) {
    std::atomic<bool> reached{false};
    const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
      const auto on_load = [&](std::uint32_t loading) {
        if (comm.rank() != kBadRank || loading != unit) return;
        reached = true;
        fail("a drive has gone");
      };
      RankModel rank(model_, setting(), comm, on_load);
      rank.instance().start_loading();
      generate_a_little(rank);
    });
    EXPECT_TRUE(reached) << unit;
    EXPECT_THAT(failures, Each(HasSubstr("a drive has gone"))) << unit;
  }
}

TEST_P(Failure, OfEveryRanksLoadingAtOnce) {
  const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
    const auto on_load = [&](std::uint32_t unit) {
      if (unit == 2) fail("a drive has gone");
    };
    RankModel rank(model_, setting(), comm, on_load);
    rank.instance().start_loading();
    generate_a_little(rank);
  });
  EXPECT_THAT(failures, Each(HasSubstr("a drive has gone")));
}

// Transfers of the units ahead are under way.
TEST_P(Failure, InTheMiddleOfASweepAtAnyUnit) {
  for (const std::uint32_t unit : model_.graph.execution_order()) {
    for (const bool loaded : {false, true}) {
      const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
        const auto on_execute = [&](std::uint32_t running) {
          if (comm.rank() == kBadRank && running == unit) fail("stopped here");
        };
        RankModel rank(model_, setting(), comm, {}, on_execute);
        rank.instance().start_loading();
        if (loaded) rank.instance().finish_loading();
        generate_a_little(rank);
      });
      EXPECT_EQ(failures[kBadRank], "stopped here") << unit;
      // While loading, the bad rank's chunks may be heard to stop before it says why.
      EXPECT_THAT(failures,
                  Each(AnyOf(HasSubstr("stopped here"), HasSubstr("loading was stopped"))))
          << unit;
    }
  }
}

TEST_P(Failure, BetweenSweeps) {
  const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
    RankModel rank(model_, setting(), comm);
    rank.instance().start_loading();
    const std::vector<TokenId> tokens = {1, 2, 3};
    const std::vector<RowInfo> rows = {{0, 0}, {0, 1}, {0, 2}};
    rank.engine().sweep({tokens, rows, {}});
    if (comm.rank() == kBadRank) fail("stopped here");
    generate_a_little(rank);
  });
  EXPECT_THAT(failures, Each(HasSubstr("stopped here")));
}

TEST_P(Failure, LeavesNothingInTheLedger) {
  const auto failures = run_ranks(kWorld, [&](Communicator& comm) {
    const auto on_execute = [&](std::uint32_t unit) {
      if (comm.rank() == kBadRank && unit == 3) fail("stopped here");
    };
    RankModel rank(model_, setting(), comm, {}, on_execute);
    rank.instance().start_loading();
    try {
      generate_a_little(rank);
      ADD_FAILURE() << "rank " << comm.rank() << " has not heard of the failure";
    } catch (const Error& error) {
      comm.fail_world(error.what());
    }
    rank.leave();
    EXPECT_EQ(rank.ledger().held().total(), 0u);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

}  // namespace
}  // namespace initrt::testing
