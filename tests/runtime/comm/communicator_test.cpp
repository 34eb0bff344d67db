// What every communicator must do, over each that one process can have. mpi_world_check runs the
// same collectives over MPI.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <ostream>
#include <string>

#include "runtime/comm/self.h"
#include "sharding/error.h"
#include "tests/runtime/comm/collective_checks.h"
#include "tests/runtime/comm/mapped_checks.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using testing::Each;
using testing::IsEmpty;
using Bytes = std::vector<std::byte>;
using Body = std::function<void(Communicator&)>;

/// What each rank failed with, empty where it did not.
using Failures = std::vector<std::string>;

Failures run_self(std::uint32_t /*size*/, const Body& body) {
  SelfCommunicator comm;
  try {
    body(comm);
  } catch (const std::exception& error) {
    return {error.what()};
  }
  return {""};
}

Failures run_mapped(std::uint32_t size, const Body& body) {
  return run_ranks(size, [&](Communicator& base) {
    mapped_checks::with_mapped(base, /*spin=*/base.rank() % 2 == 0, body);
  });
}

struct World {
  const char* name;
  Failures (*run_with)(std::uint32_t size, const Body& body);
  std::uint32_t size;

  [[nodiscard]] Failures run(const Body& body) const { return run_with(size, body); }
};
void PrintTo(const World& world, std::ostream* out) { *out << world.name << " of " << world.size; }

/// Worlds whose ranks can fail one another.
std::vector<World> worlds_of(std::initializer_list<std::uint32_t> sizes) {
  std::vector<World> worlds;
  for (const std::uint32_t size : sizes) {
    worlds.push_back({"Threads", run_ranks, size});
    worlds.push_back({"Mapped", run_mapped, size});
  }
  return worlds;
}

std::vector<World> all_worlds() {
  std::vector<World> worlds = worlds_of({1, 2, 3, 4, 5, 6, 7});
  worlds.push_back({"Self", run_self, 1});
  return worlds;
}

std::string name_of(const testing::TestParamInfo<World>& world) {
  return world.param.name + std::to_string(world.param.size);
}

class Communicators : public testing::TestWithParam<World> {};
INSTANTIATE_TEST_SUITE_P(Worlds, Communicators, testing::ValuesIn(all_worlds()), name_of);

TEST_P(Communicators, GiveEachRankTheOthersBytes) {
  EXPECT_THAT(GetParam().run([](Communicator& comm) {
    if (comm.size() != GetParam().size) fail("a world of {} ranks", comm.size());
    collective_checks::every_collective(comm);
    comm.check();
  }),
              Each(IsEmpty()));
}

TEST_P(Communicators, ThrowWhatReadyThrewWhereItIsWaitedFor) {
  const auto failures = GetParam().run([](Communicator& comm) {
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
  for (std::uint32_t rank = 1; rank < GetParam().size; ++rank) {
    EXPECT_EQ(failures[rank], "rank 0: the disk is gone");
  }
}

class FailingCommunicators : public testing::TestWithParam<World> {};
INSTANTIATE_TEST_SUITE_P(Worlds, FailingCommunicators, testing::ValuesIn(worlds_of({1, 2, 3, 7})),
                         name_of);

TEST_P(FailingCommunicators, WakeEveryWaiterWithTheFirstCause) {
  const std::uint32_t size = GetParam().size;
  const std::uint32_t bad = size - 1;
  const auto failures = GetParam().run([&](Communicator& comm) {
    collective_checks::small_all_gathers_in_step(comm, 10, 5);
    if (comm.rank() == bad) fail("no such file");
    Bytes mine(10), all(10 * comm.size());
    comm.all_gather(mine, all);
  });
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    EXPECT_EQ(failures[rank],
              rank == bad ? "no such file" : "rank " + std::to_string(bad) + ": no such file");
  }
}

TEST_P(FailingCommunicators, TakeNoMoreTransfers) {
  const auto failures = GetParam().run([](Communicator& comm) {
    if (comm.rank() == 0) comm.fail_world("over");
    while (true) comm.check();
  });
  EXPECT_THAT(failures, Each("rank 0: over"));
  const auto later = GetParam().run([](Communicator& comm) {
    comm.fail_world("over");
    Bytes mine(1), all(comm.size());
    while (true) comm.wait(comm.start_all_gather({}, mine, all));
  });
  EXPECT_THAT(later, Each(testing::MatchesRegex("rank [0-9]: over")));
  EXPECT_THAT(later, Each(later[0]));
}

TEST_P(FailingCommunicators, EndTheirTransfersBeforeTheyGo) {
  const std::uint32_t size = GetParam().size;
  const std::uint32_t sent = 20;
  std::vector<std::vector<Bytes>> all(size);
  std::vector<Bytes> mine;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    mine.push_back(collective_checks::pattern(5000, rank, 0));
    all[rank].assign(sent, Bytes(5000 * size));
  }
  const auto failures = GetParam().run([&](Communicator& comm) {
    for (Bytes& whole : all[comm.rank()]) {
      static_cast<void>(comm.start_all_gather({}, mine[comm.rank()], whole));
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
  for (const std::vector<Bytes>& of_rank : all) {
    for (const Bytes& whole : of_rank) collective_checks::expect_gathered(whole, size, 0, "left");
  }
}

TEST_P(FailingCommunicators, EndTransfersThatWillNeverBeReady) {
  std::atomic<std::uint32_t> started{0};
  const auto failures = GetParam().run([&](Communicator& comm) {
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

}  // namespace
}  // namespace initrt
