#include "launch/output/progress.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

namespace initrt {
namespace {

using Ranks = std::vector<BytesDone>;

std::function<Ranks()> always(const Ranks& ranks) {
  return [ranks] { return ranks; };
}

TEST(Progress, TheLastStateIsShownOnce) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(ProgressStyle::Lines, always({{1000, 1000, true}}));
    progress.finish();
    progress.finish();
  }
  const std::string shown = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(shown.rfind("loading 100%  1 kB of 1 kB, ", 0), 0u) << shown;
  EXPECT_EQ(shown.find('\n'), shown.size() - 1) << shown;
}

TEST(Progress, IsOfAllRanksWithTheSlowest) {
  EXPECT_EQ(loading_state({{600, 1000, true}, {300, 1000, true}, {1000, 1000, true}}, 2.0),
            " 63%  1.9 kB of 3 kB on 3 ranks, 950 B/s, rank 1 at 30%");
  EXPECT_EQ(loading_state({{1000, 1000, true}, {}}, 0.0),
            "100%  1 kB of 1 kB on 2 ranks, 0 B/s, rank 1 at 0%")
      << "of a rank that has not said anything nothing is known";
  EXPECT_EQ(loading_state({{5, 5, true}, {0, 0, true}}, 1.0), "100%  5 B of 5 B on 2 ranks, 5 B/s");
}

TEST(Progress, ARankThatSaysNothingIsNotWaitedForLong) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(ProgressStyle::Lines, always({{7, 7, true}, {}}));
    progress.finish();
  }
  EXPECT_EQ(
      ::testing::internal::GetCapturedStderr().rfind("loading 100%  7 B of 7 B on 2 ranks", 0), 0u);
}

TEST(Progress, OffShowsNothing) {
  ::testing::internal::CaptureStderr();
  { const Progress progress(ProgressStyle::Off, always({{5, 1000, true}})); }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, NothingIsShownOnceItIsStoppedEarly) {
  ::testing::internal::CaptureStderr();
  { const Progress progress(ProgressStyle::Lines, always({{0, 1000, true}})); }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, ABarEndsItsLine) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(ProgressStyle::Bar, always({{0, 0, true}}));
    progress.finish();
  }
  const std::string shown = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(shown.back(), '\n');
  EXPECT_NE(shown.find("[==============================]"), std::string::npos) << shown;
}

// In a process of its own: nothing is shown in this one from there on.
TEST(Progress, NothingFollowsTheLastLine) {
  const auto fail_under_a_bar = [] {
    std::atomic<bool> asked{false};
    Progress progress(ProgressStyle::Bar, [&] {
      const bool before = asked.exchange(true);
      return Ranks{{before ? 1000u : 0u, 1000, true}};
    });
    while (!asked) std::this_thread::yield();
    end_all_progress();
    std::fputs("initrt: error: the cause\n", stderr);
    progress.finish();
    std::_Exit(1);
  };
  EXPECT_EXIT(fail_under_a_bar(), ::testing::ExitedWithCode(1), "initrt: error: the cause\n$");
}

TEST(Progress, StylesAreNamed) {
  EXPECT_EQ(progress_style("off"), ProgressStyle::Off);
  EXPECT_EQ(progress_style("bar"), ProgressStyle::Bar);
  EXPECT_EQ(progress_style("lines"), ProgressStyle::Lines);
}

}  // namespace
}  // namespace initrt
