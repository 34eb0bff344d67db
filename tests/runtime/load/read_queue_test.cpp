// Reads handed to workers, with plans that a test makes slow or impossible.
#include "runtime/load/read_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <new>
#include <thread>

namespace initrt {
namespace {

using ::testing::Each;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

UnitReads reads(std::uint32_t count) {
  UnitReads plan;
  plan.reads.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) plan.tasks.push_back({i, 1, {}});
  return plan;
}

/// Runs workers until the queue gives nothing more. @returns how often each (unit, read) was given
/// out; what next() threw ends its worker
std::map<std::pair<std::uint32_t, std::uint32_t>, int> drain(ReadQueue& queue, int workers) {
  std::mutex mutex;
  std::map<std::pair<std::uint32_t, std::uint32_t>, int> given;
  std::vector<std::thread> threads;
  for (int i = 0; i < workers; ++i) {
    threads.emplace_back([&] {
      try {
        while (const auto task = queue.next()) {
          {
            const std::lock_guard lock(mutex);
            ++given[{task->unit, task->task}];
          }
          queue.done(*task);
        }
      } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the test counts reads
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return given;
}

TEST(ReadQueue, GivesEachReadOutOncePlanningEachUnitOnce) {
  constexpr std::uint32_t kUnits = 50;
  std::map<std::uint32_t, int> planned;  // no lock: never by two at once
  std::vector<std::uint32_t> arrived;
  ReadQueue queue(
      kUnits,
      [&](std::uint32_t unit) {
        ++planned[unit];
        std::this_thread::yield();
        return reads(unit % 4);
      },
      [&](std::uint32_t units) { arrived.push_back(units); });
  const auto given = drain(queue, 8);
  EXPECT_EQ(planned.size(), kUnits);
  EXPECT_THAT(planned, Each(Pair(::testing::_, 1)));
  EXPECT_THAT(given, Each(Pair(::testing::_, 1)));
  EXPECT_EQ(given.size(), 12 * (0 + 1 + 2 + 3) + 0 + 1);
  EXPECT_TRUE(std::is_sorted(arrived.begin(), arrived.end()));
  EXPECT_EQ(arrived.back(), kUnits);
  EXPECT_TRUE(queue.all_arrived());
}

// A worker that comes while the plan is being made must not be given the last unit's reads anew.
TEST(ReadQueue, GivesNothingMoreOutOnceAPlanCannotBeMade) {
  constexpr int kWorkers = 4;
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> asking{0};
    ReadQueue queue(
        3,
        [&](std::uint32_t unit) {
          if (unit == 0) return reads(2);
          // Until the others have come, and most likely wait.
          while (asking < kWorkers) std::this_thread::yield();
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
          throw std::bad_alloc();
        },
        [](std::uint32_t) {});
    std::mutex mutex;
    std::vector<std::uint32_t> given;
    int thrown = 0;
    std::vector<std::thread> workers;
    for (int i = 0; i < kWorkers; ++i) {
      workers.emplace_back([&] {
        try {
          while (const auto task = queue.next()) {
            const std::lock_guard lock(mutex);
            given.push_back(task->task);
            if (given.size() == 2) asking = kWorkers;  // whoever comes now comes to the plan
          }
        } catch (const std::bad_alloc&) {
          const std::lock_guard lock(mutex);
          ++thrown;
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    EXPECT_THAT(given, UnorderedElementsAre(0, 1));
    EXPECT_EQ(thrown, 1);
    EXPECT_FALSE(queue.next()) << "stopped";
  }
}

TEST(ReadQueue, AReadCanBeDoneWhileTheNextUnitIsPlanned) {
  std::atomic<bool> planning{false}, go_on{false};
  std::atomic<std::uint32_t> arrived{0};
  ReadQueue queue(
      2,
      [&](std::uint32_t unit) {
        if (unit == 1) {
          planning = true;
          while (!go_on) std::this_thread::yield();
        }
        return reads(1);
      },
      [&](std::uint32_t units) { arrived = units; });
  const auto first = queue.next();
  ASSERT_TRUE(first);
  std::thread planner([&] { EXPECT_TRUE(queue.next()); });
  while (!planning) std::this_thread::yield();
  queue.done(*first);
  EXPECT_EQ(arrived, 1u);
  go_on = true;
  planner.join();
}

TEST(ReadQueue, StopsThoseWhoWaitForAPlan) {
  std::atomic<bool> planning{false}, go_on{false};
  ReadQueue queue(
      1,
      [&](std::uint32_t) {
        planning = true;
        while (!go_on) std::this_thread::yield();
        return reads(1);
      },
      [](std::uint32_t) {});
  std::thread planner([&] { EXPECT_FALSE(queue.next()); });
  while (!planning) std::this_thread::yield();
  std::thread waiter([&] { EXPECT_FALSE(queue.next()); });
  queue.stop();
  waiter.join();
  go_on = true;
  planner.join();
  EXPECT_FALSE(queue.all_arrived());
}

}  // namespace
}  // namespace initrt
