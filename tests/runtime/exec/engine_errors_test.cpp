// Sweeps that ask for what was not planned, and worlds that do not fit, are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/comm/thread_ranks.h"
#include "tests/sharding/errors.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Rows {
  std::vector<TokenId> tokens;
  std::vector<RowInfo> rows;
  std::vector<std::uint32_t> logit_rows;
};

Rows good_rows() { return {{7, 8, 9}, {{0, 0}, {0, 1}, {0, 2}}, {1, 2}}; }

/// The error of a sweep of these rows, planned for 2 sequences of 16 positions, 4 rows, 2 logit
/// rows. The engine goes on to work.
std::string error_of_sweep(const Rows& rows) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  Setting setting;
  setting.sequences = 2;
  setting.context = 16;
  setting.sweep_rows = 4;
  setting.logit_rows = 2;
  std::string error;
  const auto failures = run_world(model, setting, [&](std::uint32_t, RankModel& rank) {
    const auto sweep = [&](const Rows& r) {
      return rank.engine().sweep({r.tokens, r.rows, r.logit_rows});
    };
    error = error_of([&] { sweep(rows); });
    const Rows good = good_rows();
    EXPECT_EQ(sweep(good).logits.size(), 2 * model.graph.vocabulary);
  });
  EXPECT_EQ(failures.front(), "");
  return error;
}

TEST(Sweep, RefusesTokensOutsideTheVocabulary) {
  for (const TokenId token : {-1, 509, 1 << 30}) {
    Rows rows = good_rows();
    rows.tokens[1] = token;
    EXPECT_THAT(error_of_sweep(rows),
                AllOf(HasSubstr(std::to_string(token)), HasSubstr("vocabulary of 509")));
  }
}

TEST(Sweep, RefusesPositionsAndSequencesThatWereNotPlanned) {
  Rows rows = good_rows();
  rows.rows[2].position = 16;
  EXPECT_THAT(error_of_sweep(rows), HasSubstr("position 16"));
  rows = good_rows();
  rows.rows[0].sequence = 2;
  EXPECT_THAT(error_of_sweep(rows), HasSubstr("sequence 2"));
}

TEST(Sweep, RefusesMoreRowsThanPlanned) {
  EXPECT_THAT(error_of_sweep({{1, 2, 3, 4, 5}, {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}}, {}}),
              HasSubstr("planned were 4 rows"));
  EXPECT_THAT(error_of_sweep({{1, 2, 3}, {{0, 0}, {0, 1}, {0, 2}}, {0, 1, 2}}),
              HasSubstr("2 logit rows"));
  EXPECT_THAT(error_of_sweep({{1, 2, 3}, {{0, 0}, {0, 1}}, {}}), HasSubstr("3 tokens, 2 rows"));
}

TEST(Sweep, RefusesToChooseTokensWithoutADeviceThatDoesOrADrawForEachRow) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  const auto failures = run_world(model, {}, [&](std::uint32_t, RankModel& rank) {
    const Rows good = good_rows();
    const SamplerOptions options;
    const std::vector<double> draws = {0.5};
    SweepInput input{good.tokens, good.rows, good.logit_rows};
    input.sampler = &options;
    input.draws = draws;
    const bool samples = rank.engine().samples();
    EXPECT_THAT(error_of([&] { rank.engine().sweep(input); }),
                AllOf(HasSubstr("tokens of 2 logit rows by 1 draws"),
                      HasSubstr(samples ? "takes one for each" : "does not choose tokens")));
    input.sampler = nullptr;
    EXPECT_EQ(rank.engine().sweep(input).logits.size(), 2 * model.graph.vocabulary);
  });
  EXPECT_EQ(failures.front(), "");
}

TEST(Sweep, RefusesLogitRowsThatAreNotItsOwnOrNotAscending) {
  for (const std::vector<std::uint32_t>& logit_rows :
       {std::vector<std::uint32_t>{3}, {2, 1}, {1, 1}, {0, 1u << 31}}) {
    Rows rows = good_rows();
    rows.logit_rows = logit_rows;
    EXPECT_THAT(error_of_sweep(rows), HasSubstr("logit row"));
  }
}

TEST(Sweep, ThatOneRankMayNotRunEndsTheWorld) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  for (const Transport transport : transports_between(3)) {
    Setting setting;
    setting.world = 3;
    setting.transport = transport;
    const auto failures = run_world(model, setting, [&](std::uint32_t rank, RankModel& instance) {
      const std::vector<TokenId> good = {1, 2, 3}, bad = {1, 2, 1000};
      (void)score_all(instance.engine(), good, 2);
      (void)score_all(instance.engine(), rank == 1 ? bad : good, 2);
    });
    EXPECT_THAT(failures, Each(EndsWith("token id 1000 is outside the vocabulary of 509")));
  }
}

TEST(Instance, RefusesATransportForOneRankInAWorldOfMore) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Self;
  const auto failures = run_ranks(2, [&](Communicator& comm) { RankModel(model, setting, comm); });
  EXPECT_THAT(failures, Each(HasSubstr("2 ranks")));
}

TEST(Instance, RefusesAPlacementForAnotherWorld) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  Setting setting;
  setting.world = 3;
  setting.transport = Transport::Mpi;
  const auto failures = run_ranks(2, [&](Communicator& comm) { RankModel(model, setting, comm); });
  EXPECT_THAT(failures, Each(AllOf(HasSubstr("2 ranks"), HasSubstr("for 3 ranks"))));
}

}  // namespace
}  // namespace initrt::testing
