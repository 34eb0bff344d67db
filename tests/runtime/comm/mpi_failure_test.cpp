// Real mpirun worlds in which a rank fails: one line with the first cause, and nobody hangs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "tests/support/process.h"

namespace initrt {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Ended : testing::Finished {
  std::chrono::milliseconds after_failure{0};
};

struct World {
  int ranks, bad;
};

// Runs the check on so many ranks, and ends it after a minute if it does not end.
Ended run_world(int ranks, const std::string& check, int bad) {
  Ended ended{testing::run({INITRT_MPIRUN, "-np", std::to_string(ranks), INITRT_WORLD_CHECK, check,
                            std::to_string(bad)}),
              {}};
  long long failed_at = 0;
  if (std::sscanf(ended.out.c_str(), "failing at %lld ms", &failed_at) == 1) {
    ended.after_failure = std::chrono::duration_cast<std::chrono::milliseconds>(
        Clock::now().time_since_epoch() - std::chrono::milliseconds(failed_at));
    std::printf("ended %lld ms after the failure\n",
                static_cast<long long>(ended.after_failure.count()));
  } else {
    ADD_FAILURE() << "no rank has failed: " << ended.out << ended.err;
  }
  return ended;
}

// A world of one has no names.
std::string told_of(const World& world, const std::string& line) {
  const std::string speaker = world.ranks == 1 ? "" : "rank " + std::to_string(world.bad) + ": ";
  return speaker + "error: " + line;
}

void expect_one_line(const Ended& ended, const std::string& line) {
  EXPECT_FALSE(ended.timed_out);
  EXPECT_NE(ended.exit_code, 0);
  EXPECT_THAT(ended.own_lines(), ::testing::ElementsAre("initrt: " + line)) << ended.err;
  EXPECT_THAT(ended.err, ::testing::Not(::testing::HasSubstr("Segmentation")));
}

void PrintTo(const World& world, std::ostream* out) {
  *out << "rank " << world.bad << " of " << world.ranks;
}
class MpiWorldWith : public ::testing::TestWithParam<World> {};
INSTANTIATE_TEST_SUITE_P(ABadRank, MpiWorldWith,
                         ::testing::Values(World{1, 0}, World{2, 0}, World{2, 1}, World{4, 2}),
                         [](const auto& of) {
                           return std::to_string(of.param.bad) + "Of" +
                                  std::to_string(of.param.ranks);
                         });

TEST_P(MpiWorldWith, AnErrorEndsTheJobWithOneLine) {
  const Ended ended = run_world(GetParam().ranks, "throw", GetParam().bad);
  expect_one_line(ended, told_of(GetParam(), "cannot read its part"));
  EXPECT_LT(ended.after_failure, 5s);
}

TEST(MpiWorld, WhatAllRanksFailForIsToldByRank0) {
  const Ended ended = run_world(3, "throw-alike", 2);
  expect_one_line(ended, told_of({3, 0}, "there is no such model"));
  EXPECT_LT(ended.after_failure, 5s);
}

TEST_P(MpiWorldWith, AChunkThatNeverArrivesEndsTheJobThoughOthersAreSlow) {
  const Ended ended = run_world(GetParam().ranks, "not-ready", GetParam().bad);
  expect_one_line(ended, told_of(GetParam(), "finds no such block"));
  EXPECT_LT(ended.after_failure, 5s);
}

TEST_P(MpiWorldWith, TheCauseIsToldRatherThanWhatFollowsFromIt) {
  const Ended ended = run_world(GetParam().ranks, "unwind", GetParam().bad);
  expect_one_line(ended, told_of(GetParam(), "met a wrong token"));
  EXPECT_LT(ended.after_failure, 5s);
}

TEST_P(MpiWorldWith, AKilledRankEndsTheJob) {
  for (const char* check : {"kill", "kill-mapped"}) {
    const Ended ended = run_world(GetParam().ranks, check, GetParam().bad);
    EXPECT_FALSE(ended.timed_out);
    EXPECT_NE(ended.exit_code, 0) << ended.err;
    EXPECT_LT(ended.after_failure, 10s);
  }
}

TEST(MpiWorld, NoProgressEndsTheJobAndSaysWhereEachRankWas) {
  const Ended ended = run_world(3, "stall", 1);
  expect_one_line(
      ended,
      "error: no rank has made progress for 2 s (key \"timeout\"): rank 0 was running unit 2, "
      "rank 1 was loading unit 2, rank 2 was loading unit 2");
}

}  // namespace
}  // namespace initrt
