// The pool of compute threads: every index once, whatever the timing. Meaningful under
// ThreadSanitizer too.
#include "runtime/device/cpu/thread_pool.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "sharding/error.h"

namespace initrt::cpu {
namespace {

class Pool : public testing::TestWithParam<bool> {};

TEST_P(Pool, EveryIndexRunsOnceAndIsVisibleAfterwards) {
  for (const unsigned threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads, GetParam());
    EXPECT_EQ(pool.threads(), threads);
    for (const std::uint32_t count : {0, 1, 2, 3, 100, 1000}) {
      std::vector<int> runs(count);  // plain: parallel_for itself must order the accesses
      pool.parallel_for(count, [&](std::uint32_t i) { ++runs[i]; });
      EXPECT_THAT(runs, testing::Each(1));
    }
  }
}

TEST_P(Pool, ManyShortLoopsInARow) {
  ThreadPool pool(3, GetParam());
  std::vector<std::uint64_t> sums(5);
  const std::uint32_t loops = 3000;
  for (std::uint32_t loop = 0; loop < loops; ++loop) {
    const auto count = static_cast<std::uint32_t>(2 + loop % 4);
    pool.parallel_for(count, [&](std::uint32_t i) { sums[i] += loop; });
  }
  EXPECT_EQ(sums[0], std::uint64_t{loops} * (loops - 1) / 2);
  EXPECT_EQ(sums[0], sums[1]);
}

TEST_P(Pool, WorkersThatFellAsleepWakeUp) {
  ThreadPool pool(2, GetParam());
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> meeting{0};
    pool.parallel_for(2, [&](std::uint32_t) {  // ends only if two threads take part
      ++meeting;
      while (meeting < 2) std::this_thread::yield();
    });
    EXPECT_EQ(meeting, 2);
  }
}

TEST_P(Pool, EndsCleanlyWithoutEverRunning) {
  for (int i = 0; i < 20; ++i) ThreadPool pool(4, GetParam());
}

INSTANTIATE_TEST_SUITE_P(, Pool, testing::Bool(), [](const testing::TestParamInfo<bool>& param) {
  return param.param ? "spinning" : "sleeping";
});

TEST(ThreadPoolErrors, ZeroThreads) {
  EXPECT_THAT([] { ThreadPool pool(0, false); }, testing::Throws<Error>());
}

}  // namespace
}  // namespace initrt::cpu
