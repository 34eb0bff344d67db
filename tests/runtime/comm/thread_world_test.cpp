// Worlds of ranks that are threads: every collective, and every way in which a rank can fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "sharding/error.h"
#include "tests/runtime/comm/collective_checks.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using testing::Each;
using testing::IsEmpty;
using Bytes = std::vector<std::byte>;

class ThreadWorldOf : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ThreadWorldOf, testing::Range(1u, 8u));

TEST_P(ThreadWorldOf, EveryCollectiveGivesEachRankTheOthersBytes) {
  EXPECT_THAT(run_ranks(GetParam(), collective_checks::every_collective), Each(IsEmpty()));
}

TEST_P(ThreadWorldOf, AFailedRankWakesEveryWaiterWithTheFirstCause) {
  const std::uint32_t size = GetParam();
  const std::uint32_t bad = size - 1;
  const auto failures = run_ranks(size, [&](Communicator& comm) {
    Bytes mine(10), all(10 * comm.size());
    comm.all_gather(mine, all);
    if (comm.rank() == bad) fail("no such file");
    // Waits on transfers, then on the next ones, and looks.
    comm.all_gather(mine, all);
  });
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    EXPECT_EQ(failures[rank],
              rank == bad ? "no such file" : "rank " + std::to_string(bad) + ": no such file");
  }
}

TEST_P(ThreadWorldOf, AnErrorInReadyFailsTheTransferAndTheWorld) {
  const std::uint32_t size = GetParam();
  const auto failures = run_ranks(size, [](Communicator& comm) {
    Bytes mine(1 << 16), all(mine.size() * comm.size()), behind(mine.size() * comm.size());
    const auto ready = [&comm]() -> bool {
      if (comm.rank() == 0) fail("the disk is gone");
      return true;
    };
    const TransferHandle before = comm.start_all_gather({}, mine, behind);
    const TransferHandle transfer = comm.start_all_gather(ready, mine, all);
    comm.wait(transfer);
  });
  EXPECT_EQ(failures[0], "the disk is gone");
  for (std::uint32_t rank = 1; rank < size; ++rank) {
    EXPECT_EQ(failures[rank], "rank 0: the disk is gone");
  }
}

TEST_P(ThreadWorldOf, AWorldThatHasFailedTakesNoMoreTransfers) {
  const auto failures = run_ranks(GetParam(), [](Communicator& comm) {
    if (comm.rank() == 0) comm.fail_world("over");
    while (true) comm.check();
  });
  EXPECT_THAT(failures, Each("rank 0: over"));
  const auto later = run_ranks(GetParam(), [](Communicator& comm) {
    comm.fail_world("over");
    Bytes mine(1), all(comm.size());
    while (true) comm.all_gather(mine, all);
  });
  EXPECT_THAT(later, Each(testing::MatchesRegex("rank [0-9]: over")));
  EXPECT_THAT(later, Each(later[0]));
}

TEST_P(ThreadWorldOf, ACommunicatorEndsItsTransfersBeforeItGoes) {
  const std::uint32_t size = GetParam();
  const std::uint32_t sent = 20;
  std::vector<std::vector<Bytes>> all(size);
  std::vector<Bytes> mine;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    mine.push_back(collective_checks::pattern(5000, rank, 0));
    all[rank].assign(sent, Bytes(5000 * size));
  }
  const auto failures = run_ranks(size, [&](Communicator& comm) {
    for (Bytes& whole : all[comm.rank()]) {
      static_cast<void>(comm.start_all_gather({}, mine[comm.rank()], whole));
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
  for (const std::vector<Bytes>& of_rank : all) {
    for (const Bytes& whole : of_rank) collective_checks::expect_gathered(whole, size, 0, "left");
  }
}

TEST_P(ThreadWorldOf, AFailedWorldEndsTransfersThatWillNeverBeReady) {
  std::atomic<std::uint32_t> started{0};
  const auto failures = run_ranks(GetParam(), [&](Communicator& comm) {
    auto mine = std::make_shared<Bytes>(100);
    auto all = std::make_shared<Bytes>(100 * comm.size());
    for (int i = 0; i < 10; ++i) {
      static_cast<void>(comm.start_all_gather([mine, all] { return false; }, *mine, *all));
    }
    ++started;
    if (comm.rank() == 0) {
      while (started < comm.size()) std::this_thread::yield();
      fail("enough");
    }
  });
  EXPECT_EQ(failures[0], "enough");
}

// Ranks give back the memory of their transfers as soon as they hear of the failure; the others
// must have stopped reading it. AddressSanitizer and ThreadSanitizer would see it.
TEST(ThreadWorld, MemoryIsNotReadAfterItsRankHasFailed) {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> entered{0};
    const auto failures = run_ranks(3, [&](Communicator& comm) {
      const Bytes mine(20000);
      std::vector<Bytes> all(6, Bytes(mine.size() * comm.size()));
      std::vector<TransferHandle> transfers;
      for (std::size_t i = 0; i < all.size(); ++i) {
        const auto ready = [&comm, i, round]() -> bool {
          if (comm.rank() == 1 && static_cast<int>(i) == round % 6) fail("lost");
          return true;
        };
        transfers.push_back(comm.start_all_gather(ready, mine, all[i]));
      }
      ++entered;
      for (const TransferHandle& transfer : transfers) comm.wait(transfer);
    });
    EXPECT_EQ(failures[1], "lost");
  }
}

TEST(ThreadWorld, SizesThatDoNotMatchAreAnError) {
  const auto ring = run_ranks(2, [](Communicator& comm) {
    const std::uint64_t expected = comm.rank() == 1 ? 10 : 11;
    std::vector<std::uint64_t> out_bytes(2), in_bytes(2);
    out_bytes[1 - comm.rank()] = 10;
    in_bytes[1 - comm.rank()] = expected;
    Bytes out(10), in(expected);
    comm.all_to_all(out, out_bytes, in, in_bytes);
  });
  EXPECT_THAT(ring[0], testing::HasSubstr("rank 1 sends 10 bytes to rank 0, which expects 11"));
  const auto gather = run_ranks(2, [](Communicator& comm) {
    Bytes mine(comm.rank() + 1), all(2 * mine.size());
    comm.all_gather(mine, all);
  });
  EXPECT_THAT(gather, Each(testing::HasSubstr("to an all-gather of")));
}

TEST(ThreadWorld, DifferentCollectivesAtOnceAreAnError) {
  const auto failures = run_ranks(2, [](Communicator& comm) {
    Bytes mine(4), all(8);
    if (comm.rank() == 0) {
      comm.all_gather(mine, all);
    } else {
      const std::vector<std::uint64_t> bytes = {4, 0};
      comm.all_to_all(mine, bytes, mine, bytes);
    }
  });
  EXPECT_THAT(failures, Each(testing::HasSubstr("call different collectives")));
}

TEST(ThreadWorld, SeveralThreadsOfARankMayWait) {
  const auto failures = run_ranks(3, [](Communicator& comm) {
    const Bytes mine = collective_checks::pattern(1000, comm.rank(), 1);
    Bytes all(1000 * comm.size());
    std::atomic<bool> ready{false};
    const TransferHandle transfer = comm.start_all_gather([&] { return ready.load(); }, mine, all);
    std::atomic<int> right{0};
    std::vector<std::thread> waiters;
    for (int i = 0; i < 4; ++i) {
      waiters.emplace_back([&] {
        comm.wait(transfer);
        collective_checks::expect_gathered(all, comm.size(), 1, "waited for by many");
        ++right;
      });
    }
    ready = true;
    for (std::thread& waiter : waiters) waiter.join();
    if (right != 4) fail("{} of 4 waiters", right.load());
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

}  // namespace
}  // namespace initrt
