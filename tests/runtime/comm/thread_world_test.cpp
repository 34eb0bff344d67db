// Worlds of ranks that are threads: what they say of ranks that do not agree, and memory that must
// not be read.
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
