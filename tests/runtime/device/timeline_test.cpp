// A timeline keeps what it is told, from any thread, and is bounded.
#include "runtime/device/timeline.h"

#include <gtest/gtest.h>

#include <thread>

namespace initrt {
namespace {

Span span_of(std::uint32_t unit, std::uint16_t worker) {
  return {{unit, unit + 1}, 7, unit, worker, Lane::Convert};
}

TEST(Timeline, KeepsSpansInTheOrderInWhichTheyWereAdded) {
  Timeline timeline;
  for (std::uint32_t unit = 0; unit < 100; ++unit) timeline.add(span_of(unit, 3));
  ASSERT_EQ(timeline.spans().size(), 100u);
  for (std::uint32_t unit = 0; unit < 100; ++unit) {
    const Span& span = timeline.spans()[unit];
    EXPECT_EQ(span.when, (Interval{unit, unit + 1}));
    EXPECT_EQ(span.unit, unit);
    EXPECT_EQ(span.worker, 3);
    EXPECT_EQ(span.bytes, 7u);
    EXPECT_EQ(span.lane, Lane::Convert);
  }
  EXPECT_EQ(timeline.left_out(), 0u);
}

TEST(Timeline, CountsWhatItHasNoRoomFor) {
  Timeline timeline(3);
  for (std::uint32_t unit = 0; unit < 10; ++unit) timeline.add(span_of(unit, 0));
  ASSERT_EQ(timeline.spans().size(), 3u);
  EXPECT_EQ(timeline.spans().back().unit, 2u);
  EXPECT_EQ(timeline.left_out(), 7u);
}

TEST(Timeline, TakesSpansFromManyThreads) {
  constexpr std::uint32_t kThreads = 8, kEach = 1000, kMax = 5000;
  Timeline timeline(kMax);
  std::vector<std::thread> threads;
  for (std::uint16_t worker = 0; worker < kThreads; ++worker) {
    threads.emplace_back([&timeline, worker] {
      for (std::uint32_t unit = 0; unit < kEach; ++unit) timeline.add(span_of(unit, worker));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(timeline.spans().size(), kMax);
  EXPECT_EQ(timeline.left_out(), kThreads * kEach - kMax);
  std::vector<std::uint32_t> next(kThreads);
  for (const Span& span : timeline.spans()) EXPECT_EQ(span.unit, next[span.worker]++);
}

TEST(Timeline, MeasuresWithAClockThatDoesNotGoBack) {
  HostTime last = host_time();
  for (int i = 0; i < 1000; ++i) {
    const HostTime now = host_time();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Timeline, NamesEveryLane) {
  EXPECT_EQ(name(Lane::Read), "read");
  EXPECT_EQ(name(Lane::Copy), "copy");
  EXPECT_EQ(name(Lane::Convert), "convert");
  EXPECT_EQ(name(Lane::Gather), "gather");
  EXPECT_EQ(name(Lane::Execute), "execute");
}

}  // namespace
}  // namespace initrt
