// Which pages fresh memory gets: the choice over machines that a test makes up, and the touch
// itself.
#include "runtime/device/first_touch.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "runtime/device/host_memory.h"

namespace initrt {
namespace {

constexpr std::uint64_t kExtent = 2u << 20;
constexpr double kSmall = 0.7e-3, kBacked = 0.2e-3, kUnbacked = 5e-3;  // measured on one machine

/// What touching `extents` takes where the next huge page costs what `huge` says.
double simulate(std::uint64_t extents, const std::function<double(std::uint64_t huge_page)>& huge,
                double small = kSmall) {
  PageSizeChoice choice;
  double seconds = 0;
  std::uint64_t huge_pages = 0;
  for (std::uint64_t i = 0; i < extents; ++i) {
    const PageSizeChoice::Kind kind = choice.next();
    const double took = kind == PageSizeChoice::Huge ? huge(huge_pages++) : small;
    choice.note(kind, took);
    seconds += took;
  }
  return seconds;
}

TEST(PageSizeChoice, TakesHugePagesWhereTheyCostLess) {
  EXPECT_LE(simulate(1000, [](std::uint64_t) { return kBacked; }), 1000 * kBacked * 1.1);
}

TEST(PageSizeChoice, TakesSmallPagesWhereTheyCostLess) {
  EXPECT_LE(simulate(1000, [](std::uint64_t) { return kUnbacked; }), 1000 * kSmall * 1.1);
  EXPECT_LE(simulate(50'000, [](std::uint64_t) { return kUnbacked; }), 50'000 * kSmall * 1.03);
}

TEST(PageSizeChoice, TakesHugePagesWhereBothCostAlike) {
  PageSizeChoice choice;
  std::uint64_t huge = 0;
  for (int i = 0; i < 1000; ++i) {
    const PageSizeChoice::Kind kind = choice.next();
    huge += kind == PageSizeChoice::Huge ? 1 : 0;
    choice.note(kind, kind == PageSizeChoice::Huge ? 1.1 * kSmall : kSmall);
  }
  EXPECT_GE(huge, 980u);
}

TEST(PageSizeChoice, LeavesHugePagesWhenTheyRunOut) {
  const double seconds =
      simulate(1000, [](std::uint64_t page) { return page < 300 ? kBacked : kUnbacked; });
  EXPECT_LE(seconds, (300 * kBacked + 700 * kSmall) * 1.15);
}

TEST(PageSizeChoice, FindsHugePagesThatComeLater) {
  const double seconds =
      simulate(2000, [](std::uint64_t page) { return page < 4 ? kUnbacked : kBacked; });
  EXPECT_LE(seconds, 2000 * kSmall * 0.5);
}

TEST(PageSizeChoice, IsNoWorseThanSmallPagesWhereHugePagesAreMixed) {
  for (const std::uint64_t run : {2u, 10u, 50u, 200u}) {
    const double seconds = simulate(
        5000, [run](std::uint64_t page) { return page / run % 2 == 0 ? kBacked : kUnbacked; });
    EXPECT_LE(seconds, 5000 * kSmall * 1.1) << run;
  }
}

TEST(PageSizeChoice, AsksForBothKindsWhileNothingIsKnown) {
  PageSizeChoice choice;
  EXPECT_EQ(choice.next(), PageSizeChoice::Huge);
  EXPECT_EQ(choice.next(), PageSizeChoice::Huge);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(choice.next(), PageSizeChoice::Small) << i;
}

/// Pages of the memory that the process has.
std::uint64_t resident_pages(std::span<const std::byte> memory) {
  std::vector<unsigned char> pages((memory.size() + 4095) / 4096);
  EXPECT_EQ(mincore(const_cast<std::byte*>(memory.data()), memory.size(), pages.data()), 0);
  std::uint64_t count = 0;
  for (const unsigned char page : pages) count += page & 1u;
  return count;
}

TEST(FirstTouch, TouchesTheExtentsOfARangeAndNoOthers) {
  Ledger ledger;
  const Buffer memory = allocate_host_memory(ledger, MemoryCategory::Shard, 10 * kExtent + 5000);
  FirstTouch touch(memory.span());
  touch.touch(memory.data() + 3 * kExtent + 7, kExtent);
  EXPECT_EQ(resident_pages(memory.span()), 2 * kExtent / 4096);
  touch.touch(memory.data() + 3 * kExtent, 1);
  touch.touch(memory.data(), 0);
  EXPECT_EQ(resident_pages(memory.span()), 2 * kExtent / 4096);
  touch.touch(memory.data(), memory.bytes());
  EXPECT_EQ(resident_pages(memory.span()), 10 * kExtent / 4096) << "a part of 2 MiB is left alone";
  const FirstTouch::Statistics statistics = touch.statistics();
  EXPECT_EQ(statistics.huge_bytes + statistics.small_bytes, 10 * kExtent);
  EXPECT_GE(statistics.huge_bytes, 2 * kExtent);
  EXPECT_GE(statistics.small_bytes, 2 * kExtent);
  EXPECT_GT(statistics.seconds, 0.0);
}

TEST(FirstTouch, LeavesWhatIsThere) {
  Ledger ledger;
  const Buffer memory = allocate_host_memory(ledger, MemoryCategory::Shard, 4 * kExtent);
  std::memset(memory.data(), 0x5a, memory.bytes());
  FirstTouch(memory.span()).touch(memory.data(), memory.bytes());
  for (std::uint64_t i = 0; i < memory.bytes(); ++i) ASSERT_EQ(memory.data()[i], std::byte{0x5a});
}

TEST(FirstTouch, IsOfNoConcernToMemoryWithoutAWholeHugePage) {
  std::vector<std::byte> memory(kExtent - 4096);
  FirstTouch touch(memory);
  touch.touch(memory.data(), memory.size());
  EXPECT_EQ(touch.statistics().huge_bytes + touch.statistics().small_bytes, 0u);
  FirstTouch({}).touch(nullptr, 0);
}

TEST(FirstTouch, ManyThreadsTouchEachExtentOnce) {
  Ledger ledger;
  constexpr std::uint64_t kExtents = 24;
  const Buffer memory = allocate_host_memory(ledger, MemoryCategory::Shard, kExtents * kExtent);
  FirstTouch touch(memory.span());
  std::vector<std::jthread> threads;
  for (std::uint64_t thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      // Overlapping ranges that begin at different places; each writes bytes of its own.
      for (std::uint64_t i = 0; i < kExtents; ++i) {
        const std::uint64_t at = (i + 3 * thread) % kExtents * kExtent;
        touch.touch(memory.data() + at, std::min(3 * kExtent, memory.bytes() - at));
        for (std::uint64_t page = 0; page < kExtent; page += 4096) {
          memory.data()[at + page + thread] = static_cast<std::byte>(thread + 1);
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(touch.statistics().huge_bytes + touch.statistics().small_bytes, memory.bytes());
  for (std::uint64_t page = 0; page < memory.bytes(); page += 4096) {
    for (std::uint64_t thread = 0; thread < 8; ++thread) {
      ASSERT_EQ(memory.data()[page + thread], static_cast<std::byte>(thread + 1));
    }
  }
}

}  // namespace
}  // namespace initrt
