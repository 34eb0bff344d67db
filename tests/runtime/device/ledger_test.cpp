// The ledger: what is held now and what was held at most, from any thread.
#include "runtime/device/ledger.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace initrt {
namespace {

TEST(Ledger, CountsWhatIsHeldByCategory) {
  Ledger ledger;
  EXPECT_EQ(ledger.held().total(), 0u);
  {
    const LedgerEntry shard(ledger, MemoryCategory::Shard, 100);
    const LedgerEntry more(ledger, MemoryCategory::Shard, 20);
    const LedgerEntry slots(ledger, MemoryCategory::Slots, 7);
    EXPECT_EQ(ledger.held()[MemoryCategory::Shard], 120u);
    EXPECT_EQ(ledger.held()[MemoryCategory::Slots], 7u);
    EXPECT_EQ(ledger.held().total(), 127u);
  }
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST(Ledger, PeakIsTheMostHeldAtOnce) {
  Ledger ledger;
  { const LedgerEntry first(ledger, MemoryCategory::Staging, 100); }
  const LedgerEntry second(ledger, MemoryCategory::Shard, 60);
  EXPECT_EQ(ledger.peak(), 100u);
  const LedgerEntry third(ledger, MemoryCategory::Logits, 50);
  EXPECT_EQ(ledger.peak(), 110u);
}

TEST(LedgerEntry, IsCountedOnceWhereverItIsMoved) {
  Ledger ledger;
  LedgerEntry from(ledger, MemoryCategory::Shard, 5);
  LedgerEntry to(std::move(from));
  EXPECT_EQ(ledger.held().total(), 5u);
  LedgerEntry other(ledger, MemoryCategory::Slots, 9);
  other = std::move(to);  // what it was before is gone at once
  EXPECT_EQ(ledger.held().total(), 5u);
  EXPECT_EQ(ledger.held()[MemoryCategory::Slots], 0u);
  other = LedgerEntry();
  EXPECT_EQ(ledger.held().total(), 0u);
}

TEST(Ledger, AddsUpOverThreads) {
  constexpr std::uint64_t kThreads = 4, kRounds = 20000;
  Ledger ledger;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&ledger, i] {
      const auto category = static_cast<MemoryCategory>(i % 2);
      for (std::uint64_t round = 0; round < kRounds; ++round) {
        ledger.add(category, 3);
        const LedgerEntry entry(ledger, MemoryCategory::Staging, 10);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ledger.held()[MemoryCategory::Shard], kThreads / 2 * kRounds * 3);
  EXPECT_EQ(ledger.held()[MemoryCategory::Resident], kThreads / 2 * kRounds * 3);
  EXPECT_EQ(ledger.held()[MemoryCategory::Staging], 0u);
  EXPECT_GE(ledger.peak(), kThreads * kRounds * 3);
  EXPECT_LE(ledger.peak(), kThreads * kRounds * 3 + kThreads * 10);
}

}  // namespace
}  // namespace initrt
