#include "runtime/load/arrivals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/sharding/errors.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::exception_ptr gone() { return std::make_exception_ptr(Error("a drive has gone")); }

TEST(Arrivals, AreThereInOrder) {
  Arrivals arrivals;
  EXPECT_FALSE(arrivals.has(0));
  arrivals.advance(2);
  EXPECT_TRUE(arrivals.has(0));
  EXPECT_TRUE(arrivals.has(1));
  EXPECT_FALSE(arrivals.has(2));
  arrivals.wait(0);
  arrivals.wait(2);
}

TEST(Arrivals, TellOfEachNewCount) {
  std::vector<std::uint32_t> told;
  Arrivals arrivals([&](std::uint32_t count) { told.push_back(count); });
  arrivals.advance(1);
  arrivals.advance(4);
  EXPECT_THAT(told, ElementsAre(1, 4));
}

TEST(Arrivals, WakeThoseWhoWaitAndShowThemWhatWasWritten) {
  Arrivals arrivals;
  std::vector<int> units(100, 0);
  std::thread loading([&] {
    for (std::uint32_t unit = 0; unit < units.size(); ++unit) {
      units[unit] = static_cast<int>(unit) + 1;
      arrivals.advance(unit + 1);
    }
  });
  for (std::uint32_t unit = 0; unit < units.size(); unit += 7) {
    arrivals.wait(unit + 1);
    EXPECT_EQ(units[unit], static_cast<int>(unit) + 1);
  }
  loading.join();
}

TEST(Arrivals, FailWithTheFirstCauseWhateverIsAlreadyThere) {
  Arrivals arrivals;
  arrivals.advance(1);
  arrivals.fail(gone());
  arrivals.fail(std::make_exception_ptr(Error("something else")));
  EXPECT_EQ(error_of([&] { arrivals.check(); }), "a drive has gone");
  EXPECT_EQ(error_of([&] { (void)arrivals.has(0); }), "a drive has gone");
  EXPECT_EQ(error_of([&] { arrivals.wait(1); }), "a drive has gone");
}

TEST(Arrivals, WakeThoseWhoWaitWhenLoadingFails) {
  Arrivals arrivals;
  std::vector<std::string> errors(3);
  std::vector<std::thread> waiting;
  for (std::string& error : errors) {
    waiting.emplace_back([&] { error = error_of([&] { arrivals.wait(5); }); });
  }
  arrivals.advance(4);
  arrivals.fail(gone());
  for (std::thread& thread : waiting) thread.join();
  EXPECT_THAT(errors, Each("a drive has gone"));
}

}  // namespace
}  // namespace initrt::testing
