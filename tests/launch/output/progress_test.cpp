#include "launch/output/progress.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace initrt {
namespace {

TEST(Progress, BytesAreShownWithThreeDigits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1 kB");
  EXPECT_EQ(human_bytes(1'234'567), "1.23 MB");
  EXPECT_EQ(human_bytes(999'600), "1 MB");
  EXPECT_EQ(human_bytes(5e15), "5e+03 TB");
}

TEST(Progress, TheLastStateIsShownOnce) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(ProgressStyle::Lines, 1000, [] { return std::uint64_t{1000}; });
    progress.finish();
    progress.finish();
  }
  const std::string shown = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(shown.rfind("loading 100%  1 kB of 1 kB per rank, ", 0), 0u) << shown;
  EXPECT_EQ(shown.find('\n'), shown.size() - 1) << shown;
}

TEST(Progress, OffShowsNothing) {
  ::testing::internal::CaptureStderr();
  {
    const Progress progress(ProgressStyle::Off, 1000, [] { return std::uint64_t{5}; });
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, NothingIsShownOnceItIsStoppedEarly) {
  ::testing::internal::CaptureStderr();
  {
    const Progress progress(ProgressStyle::Lines, 1000, [] { return std::uint64_t{0}; });
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, ABarEndsItsLine) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress(ProgressStyle::Bar, 0, [] { return std::uint64_t{0}; });
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
    Progress progress(ProgressStyle::Bar, 1000, [&] {
      const bool before = asked.exchange(true);
      return std::uint64_t{before ? 1000u : 0u};
    });
    while (!asked) std::this_thread::yield();
    end_all_progress();
    std::fputs("initrt: the cause\n", stderr);
    progress.finish();
    std::_Exit(1);
  };
  EXPECT_EXIT(fail_under_a_bar(), ::testing::ExitedWithCode(1), "initrt: the cause\n$");
}

TEST(Progress, StylesAreNamed) {
  EXPECT_EQ(progress_style("off"), ProgressStyle::Off);
  EXPECT_EQ(progress_style("bar"), ProgressStyle::Bar);
  EXPECT_EQ(progress_style("lines"), ProgressStyle::Lines);
}

}  // namespace
}  // namespace initrt
