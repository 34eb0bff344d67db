// Mapped memory over ranks that are threads: their mappings differ, their memory is one.
#include "runtime/comm/mapped.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "runtime/device/cpu/cpu_device.h"
#include "tests/runtime/comm/mapped_checks.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using mapped_checks::expect_pattern;
using mapped_checks::pattern;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;

class MappedWorldOf : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, MappedWorldOf, testing::Range(1u, 8u));

TEST_P(MappedWorldOf, UnitsAppearWholeOnEveryRankOncePublished) {
  const Cut cut = mapped_checks::uneven_cut(GetParam(), {});
  const auto failures = run_ranks(
      GetParam(), [&](Communicator& comm) { mapped_checks::units_appear_as_published(comm, cut); });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST_P(MappedWorldOf, ResidentUnitsAreMappedFromTheirPlaceInTheWhole) {
  for (const std::vector<bool>& resident :
       {std::vector<bool>{true, false, false, true, false, true}, std::vector<bool>(6, true)}) {
    const Cut cut = mapped_checks::uneven_cut(GetParam(), resident);
    const auto failures = run_ranks(GetParam(), [&](Communicator& comm) {
      mapped_checks::units_appear_as_published(comm, cut);
    });
    EXPECT_THAT(failures, Each(IsEmpty()));
  }
}

TEST(MappedCommunicator, StaysInStepOverManySmallAllGathers) {
  const auto failures = run_ranks(2, [](Communicator& base) {
    mapped_checks::with_mapped(base, /*spin=*/false, [](Communicator& comm) {
      collective_checks::small_all_gathers_in_step(comm, 100000, 1000);
    });
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST(MappedCommunicator, StaysInStepWithMoreRanksThanCores) {
  const auto failures = run_ranks(7, [](Communicator& base) {
    mapped_checks::with_mapped(base, /*spin=*/false, [](Communicator& comm) {
      collective_checks::small_all_gathers_in_step(comm, 3000, 50);
    });
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST(MappedMemory, WaitingForUnitsEndsWhenARankFails) {
  const Cut cut = mapped_checks::uneven_cut(3, {});
  const auto failures = run_ranks(3, [&](Communicator& comm) {
    Ledger ledger;
    MappedMemory memory(comm, cut, ledger);
    if (comm.rank() == 1) fail("cannot read");
    memory.publish(6);
    memory.wait_published(6, [] {});
  });
  EXPECT_THAT(failures,
              testing::ElementsAre("rank 1: cannot read", "cannot read", "rank 1: cannot read"));
}

TEST(MappedMemory, WaitingForUnitsEndsWithTheCallersOwnFailure) {
  const Cut cut = mapped_checks::uneven_cut(2, {});
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    Ledger ledger;
    MappedMemory memory(comm, cut, ledger);
    memory.wait_published(1, [&] {
      if (comm.rank() == 0) fail("loading failed");
    });
  });
  EXPECT_THAT(failures, testing::ElementsAre("loading failed", "rank 0: loading failed"));
}

TEST(MappedMemory, ARankThatFailsInTheSetUpEndsTheOthersSetUp) {
  const Cut cut = mapped_checks::uneven_cut(3, {});
  const auto failures = run_ranks(3, [&](Communicator& comm) {
    if (comm.rank() == 2) fail("no memory");
    Ledger ledger;
    const MappedMemory memory(comm, cut, ledger);
  });
  EXPECT_THAT(failures,
              testing::ElementsAre("rank 2: no memory", "rank 2: no memory", "no memory"));
}

TEST(MappedMemory, LeavesTheLedgerWhenItGoes) {
  const Cut cut = mapped_checks::uneven_cut(2, {true, false, false, false, false, false});
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    Ledger ledger;
    {
      const MappedMemory memory(comm, cut, ledger);
      if (ledger.held().total() != cut.memory_bytes()) fail("held {}", ledger.held().total());
    }
    if (ledger.held().total() != 0) fail("left {}", ledger.held().total());
    if (ledger.peak() != cut.memory_bytes()) fail("peak {}", ledger.peak());
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

// Wherever the kernel puts the reservation, relative to huge pages, all of it and nothing else is
// used: a second memory and unrelated mappings stay as they are.
TEST(MappedMemory, LeavesItsNeighboursAlone) {
  const Cut cut = mapped_checks::uneven_cut(2, {});
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    std::vector<Mapping> neighbours;
    const auto add_neighbour = [&](std::size_t pages) {
      void* address =
          mmap(nullptr, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (address == MAP_FAILED) fail("mmap");
      neighbours.emplace_back(address, pages * 4096);
      std::memset(address, 0x5a, pages * 4096);
    };
    Ledger ledger;
    std::vector<std::unique_ptr<MappedMemory>> memories;
    for (std::size_t i = 0; i < 24; ++i) {
      add_neighbour(1 + i * 37 % 600);
      memories.push_back(std::make_unique<MappedMemory>(comm, cut, ledger));
      mapped_checks::fill_chunk(*memories.back(), cut, 5, comm.rank());
      memories.back()->publish(6);
    }
    for (const std::unique_ptr<MappedMemory>& memory : memories) {
      memory->wait_published(6, [] {});
      mapped_checks::expect_unit(*memory, cut, 5);
      const WholeUnit first = memory->unit(0);
      if ((reinterpret_cast<std::uintptr_t>(first.base) | first.stride) % (2u << 20) != 0) {
        fail("a shard does not begin at a huge page");
      }
    }
    for (const Mapping& neighbour : neighbours) {
      for (std::size_t i = 0; i < neighbour.bytes(); ++i) {
        if (neighbour.data()[i] != std::byte{0x5a}) fail("a neighbour was overwritten");
      }
    }
    std::vector<std::byte> all(comm.size());
    const std::byte here{1};
    comm.all_gather({&here, 1}, all);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

// Each round sends from the other of two buffers, and the one before may be written again.
TEST(MappedRows, BringWhatEachRankSendsWhileItsOtherBufferIsWritten) {
  constexpr std::size_t kPart = 3000;
  const Cut cut = mapped_checks::uneven_cut(3, {});
  for (const bool spin : {false, true}) {
    const auto failures = run_ranks(3, [&](Communicator& comm) {
      Ledger ledger;
      const BufferPart part{MemoryCategory::Exchange, 2 * 3 * kPart};
      MappedMemory memory(comm, cut, ledger, part.bytes);
      MappedRows rows(comm, memory, spin);
      const auto device = make_cpu_device(InstructionSet::Portable, 1, false);
      const Buffer buffer = rows.allocate(*device, ledger, std::span(&part, 1));
      if (ledger.held()[MemoryCategory::Exchange] != part.bytes) fail("not in the ledger");
      std::vector<std::byte> received(3 * kPart);
      for (std::size_t round = 0; round < 200; ++round) {
        std::vector<std::span<const std::byte>> out;
        std::vector<std::span<std::byte>> in;
        for (std::uint32_t peer = 0; peer < 3; ++peer) {
          const auto bytes_of = [&](std::uint32_t from, std::uint32_t to) {
            return from == to ? 0 : (from * 7 + to * 3 + round) % kPart;
          };
          const std::span<std::byte> place =
              buffer.span().subspan((round % 2 * 3 + peer) * kPart, bytes_of(comm.rank(), peer));
          const auto sent = pattern(place.size(), comm.rank(), round * 3 + peer);
          std::copy(sent.begin(), sent.end(), place.begin());
          out.emplace_back(place);
          in.push_back(std::span(received).subspan(peer * kPart, bytes_of(peer, comm.rank())));
        }
        rows.send_receive(out, in);
        for (std::uint32_t peer = 0; peer < 3; ++peer) {
          expect_pattern(in[peer], peer, round * 3 + comm.rank(), "rows");
        }
      }
    });
    EXPECT_THAT(failures, Each(IsEmpty()));
  }
}

TEST(MappedRows, RefuseWhatOtherRanksDoNotMap) {
  const Cut cut = mapped_checks::uneven_cut(2, {});
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    Ledger ledger;
    MappedMemory memory(comm, cut, ledger, 100);
    MappedRows rows(comm, memory, false);
    std::vector<std::byte> elsewhere(10);
    const std::vector<std::span<const std::byte>> out(2, elsewhere);
    std::vector<std::span<std::byte>> in(2);
    rows.send_receive(out, in);
  });
  EXPECT_THAT(failures, Each(HasSubstr("do not map")));
}

TEST(MappedRows, EndWithAFailedRank) {
  const Cut cut = mapped_checks::uneven_cut(2, {});
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    Ledger ledger;
    MappedMemory memory(comm, cut, ledger, 100);
    MappedRows rows(comm, memory, false);
    if (comm.rank() == 1) fail("it has died");
    const std::vector<std::span<const std::byte>> out(2);
    std::vector<std::span<std::byte>> in(2);
    rows.send_receive(out, in);
  });
  EXPECT_THAT(failures, Each(HasSubstr("it has died")));
}

TEST(MappedMemory, UnitsAreReadOnly) {
  const Cut cut = mapped_checks::uneven_cut(1, {});
  const auto failures = run_ranks(1, [&](Communicator& comm) {
    Ledger ledger;
    const MappedMemory memory(comm, cut, ledger);
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    errno = 0;  // the kernel writes there for us, and says what it thinks of it
    EXPECT_EQ(syscall(SYS_read, ends[0], memory.unit(0), 1), -1);
    EXPECT_EQ(errno, EFAULT);
    close(ends[0]);
    close(ends[1]);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

}  // namespace
}  // namespace initrt
