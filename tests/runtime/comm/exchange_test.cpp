// What every exchange must do, over each that there is: of hosts' memory, of GPUs' through their
// hosts, and NCCL's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <ostream>
#include <string>

#include "cuda_emulator/control.h"
#include "runtime/comm/host_exchange.h"
#include "runtime/comm/nccl/nccl.h"
#include "runtime/comm/staged_exchange.h"
#include "runtime/device/cpu/cpu_device.h"
#include "runtime/device/cuda/gpus.h"
#include "sharding/error.h"
#include "tests/runtime/comm/collective_checks.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

using collective_checks::Bytes;
using collective_checks::expect_gathered;
using collective_checks::expect_pattern;
using collective_checks::pattern;
using testing::Each;
using testing::IsEmpty;

constexpr std::uint32_t kSlots = 3;   // units under way at once
constexpr HostTime kClock = 1000000;  // ns by which a GPU's clock may differ from the host's
constexpr std::uint64_t kMaxChunk = 300001, kMaxRows = 2 << 20;

using MakeDevice = std::unique_ptr<Device> (*)(std::uint32_t rank);
using MakeExchange = std::unique_ptr<Exchange> (*)(Communicator&, Device&, Ledger&);

struct Kind {
  const char* name;
  unsigned gpus;  ///< that there must be
  MakeDevice make_device;
  MakeExchange make_exchange;
  std::uint32_t ranks;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name << " of " << kind.ranks; }

std::unique_ptr<Device> cpu(std::uint32_t /*rank*/) {
  return make_cpu_device(InstructionSet::Portable, 1, /*spin=*/false);
}
std::unique_ptr<Device> first_gpu(std::uint32_t /*rank*/) { return cuda::make_device(0); }
std::unique_ptr<Device> own_gpu(std::uint32_t rank) { return cuda::make_device(rank); }

std::unique_ptr<Exchange> host(Communicator& comm, Device&, Ledger&) {
  return std::make_unique<HostExchange>(comm);
}
std::unique_ptr<Exchange> staged(Communicator& comm, Device& device, Ledger& ledger) {
  const HostSlots slots{kSlots, kMaxChunk, kMaxChunk * comm.size()};
  return std::make_unique<StagedExchange>(comm, device, slots, kMaxRows, ledger);
}
std::unique_ptr<Exchange> nccl_timed(Communicator& comm, Device& device, Ledger&) {
  return nccl::make_exchange(device, comm, /*timed=*/true);
}

std::vector<Kind> all_kinds() {
  std::vector<Kind> kinds{{"StagedOfOneGpu", 1, first_gpu, staged, 2}};
  for (const std::uint32_t ranks : {1u, 3u}) {
    kinds.push_back({"Host", 0, cpu, host, ranks});
    kinds.push_back({"Staged", ranks, own_gpu, staged, ranks});
    kinds.push_back({"Nccl", ranks, own_gpu, nccl_timed, ranks});
  }
  return kinds;
}

/// A rank with a device and an exchange.
class Rank {
 public:
  Rank(const Kind& kind, Communicator& base)
      : comm(base),
        device_(kind.make_device(base.rank())),
        exchange_(kind.make_exchange(base, *device_, ledger)) {
    const DeviceNeeds needs = device_->needs({DType::F32, 1, 1});
    scratch_ = initrt::allocate(*device_, ledger, MemoryCategory::Scratch, needs.scratch_bytes);
    pinned_ = device_->allocate_host(ledger, MemoryCategory::Pinned, needs.pinned_bytes);
    device_->set_scratch(scratch_.span(), pinned_.span(), 1);
    device_->set_watch([this] { exchange_->check(); });
  }

  Communicator& comm;
  Ledger ledger;

  [[nodiscard]] DeviceMemory& device() { return *device_; }
  [[nodiscard]] Exchange& exchange() { return *exchange_; }

  /// Memory of the device, to gather from and to; stays until the rank goes.
  std::span<std::byte> make(std::uint64_t bytes) {
    const BufferPart part{MemoryCategory::Slots, bytes};
    buffers_.push_back(exchange_->allocate(*device_, ledger, std::span(&part, 1)));
    return buffers_.back().span();
  }
  /// The same with these bytes in it, once the device comes to it.
  std::span<std::byte> put(const Bytes& bytes) {
    const std::span<std::byte> there = make(bytes.size());
    device().write(bytes, there.data());
    return there;
  }
  void copy(std::span<const std::byte> from, std::span<std::byte> to) {
    const CopyPiece piece{from.data(), to.data(), from.size()};
    device().copy(std::span(&piece, 1));
  }
  /// What will be there once the device has done what has been asked for.
  Bytes get(std::span<const std::byte> there) {
    const Buffer host = device().allocate_host(ledger, MemoryCategory::Pinned, there.size());
    device().read(there.data(), host.span());
    device().synchronize();
    return {host.span().begin(), host.span().end()};
  }

  /// As a rank that fails does, before it gives anything back.
  void give_up(const std::string& message) {
    comm.fail_world(message);
    exchange_->abandon();
    try {  // nothing looks at this rank's memory once it has heard
      comm.wait(comm.start_all_gather([] { return false; }, {}, {}));
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what was waited for
    }
  }

 private:
  const std::unique_ptr<Device> device_;
  Buffer scratch_, pinned_;     // of the device
  std::deque<Buffer> buffers_;  // which may outlive the exchange
  const std::unique_ptr<Exchange> exchange_;
};

class Exchanges : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    const std::vector<cuda_emulator::DeviceDescription> gpus(std::max(GetParam().gpus, 1u));
    cuda_emulator::set_devices(gpus);
  }

  /// @returns what each rank failed with, empty where it did not
  static std::vector<std::string> run(const std::function<void(Rank&)>& body) {
    return run_ranks(GetParam().ranks, [&](Communicator& comm) {
      Rank rank(GetParam(), comm);
      try {
        body(rank);
        rank.device().synchronize();
        rank.device().set_watch({});
        collective_checks::every_rank_has_a_number(comm);  // all have come to the end
      } catch (const std::exception& error) {
        rank.give_up(error.what());
        throw;
      }
    });
  }
};
INSTANTIATE_TEST_SUITE_P(, Exchanges, testing::ValuesIn(all_kinds()), [](const auto& kind) {
  return kind.param.name + std::to_string(kind.param.ranks);
});

TEST_P(Exchanges, GatherEveryRanksChunkInOrder) {
  const auto failures = run([](Rank& rank) {
    for (const std::size_t bytes : {1, 24, 4096, 300001}) {
      const auto chunk = rank.put(pattern(bytes, rank.comm.rank(), bytes));
      rank.device().synchronize();
      const auto whole = rank.make(bytes * rank.comm.size());
      rank.exchange().finish(rank.exchange().start_all_gather({}, nullptr, chunk, whole));
      expect_gathered(rank.get(whole), rank.comm.size(), bytes, "a gathered unit");
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST_P(Exchanges, GatherChunksThatAreInTheirPlace) {
  const auto failures = run([](Rank& rank) {
    for (const std::size_t bytes : {1, 4096, 200000}) {
      const auto whole = rank.make(bytes * rank.comm.size());
      const auto prepared = rank.exchange().prepare(whole);
      const auto place = whole.subspan(rank.comm.rank() * bytes, bytes);
      rank.device().write(pattern(bytes, rank.comm.rank(), bytes), place.data());
      rank.device().synchronize();
      rank.exchange().finish(rank.exchange().start_all_gather({}, nullptr, place, whole));
      expect_gathered(rank.get(whole), rank.comm.size(), bytes, "a unit gathered in place");
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

// As many as there are slots are under way, each into a slot that ops still read when it is
// started.
TEST_P(Exchanges, GatherBehindOpsThatReadWhatWasThere) {
  const auto failures = run([](Rank& rank) {
    constexpr std::size_t kUnits = 12, kBytes = 20000;
    const std::size_t whole_bytes = kBytes * rank.comm.size();
    std::vector<std::span<std::byte>> chunks, slots, seen;
    for (std::size_t i = 0; i < kUnits; ++i) {
      chunks.push_back(rank.put(pattern(kBytes, rank.comm.rank(), i)));
      seen.push_back(rank.make(whole_bytes));
    }
    for (std::size_t i = 0; i < kSlots; ++i) slots.push_back(rank.make(whole_bytes));
    rank.device().synchronize();
    std::vector<FenceHandle> free(kSlots);
    std::deque<GatheringHandle> under_way;
    for (std::size_t next = 0, unit = 0; unit < kUnits; ++unit) {
      for (; next < std::min<std::size_t>(unit + kSlots, kUnits); ++next) {
        under_way.push_back(rank.exchange().start_all_gather({}, free[next % kSlots], chunks[next],
                                                             slots[next % kSlots]));
      }
      rank.exchange().finish(under_way.front());
      under_way.pop_front();
      rank.copy(slots[unit % kSlots], seen[unit]);
      free[unit % kSlots] = rank.device().fence();
    }
    for (std::size_t i = 0; i < kUnits; ++i) {
      expect_gathered(rank.get(seen[i]), rank.comm.size(), i, "a unit of many");
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST_P(Exchanges, BeginOnceReadyAndInCallOrder) {
  const auto failures = run([](Rank& rank) {
    constexpr std::size_t kBytes = 100;
    std::vector<std::span<std::byte>> chunks, wholes;
    for (std::size_t i = 0; i < kSlots; ++i) {
      chunks.push_back(rank.put(pattern(kBytes, rank.comm.rank(), 77)));
      wholes.push_back(rank.make(kBytes * rank.comm.size()));
    }
    std::size_t next = 0, asked = 0;  // of the thread that calls ready()
    bool in_order = true;
    std::vector<GatheringHandle> under_way;
    for (std::size_t i = 0; i < kSlots; ++i) {
      const auto ready = [&, i] {
        in_order = in_order && i == next;
        // Each rank is late at another time, and its chunk is not there before.
        if (++asked % (3 + rank.comm.rank()) != 0) return false;
        ++next;
        return true;
      };
      rank.device().write(pattern(kBytes, rank.comm.rank(), i), chunks[i].data());
      rank.device().synchronize();
      under_way.push_back(rank.exchange().start_all_gather(ready, nullptr, chunks[i], wholes[i]));
    }
    for (std::size_t i = 0; i < kSlots; ++i) {
      rank.exchange().finish(under_way[i]);
      expect_gathered(rank.get(wholes[i]), rank.comm.size(), i, "an ordered unit");
    }
    if (!in_order || next != kSlots) fail("gatherings did not begin in call order");
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

// What ops have made goes out, and ops see what came in, while a unit is under way.
TEST_P(Exchanges, SendRowsBetweenOpsAndBesideGatherings) {
  const auto failures = run([](Rank& rank) {
    const std::uint32_t size = rank.comm.size(), mine = rank.comm.rank();
    const auto bytes_of = [](std::uint32_t from, std::uint32_t to) {
      return (from + to) % 3 == 2 ? 0 : std::uint64_t{from} * 70001 + to * 13 + 1;
    };
    const auto chunk = rank.put(pattern(5000, mine, 9));
    const auto whole = rank.make(5000 * size);
    rank.device().synchronize();
    for (int round = 0; round < 2; ++round) {
      const GatheringHandle gathering =
          rank.exchange().start_all_gather({}, rank.device().fence(), chunk, whole);
      Bytes out;
      std::vector<std::uint64_t> out_bytes, in_bytes;
      std::uint64_t in_total = 0;
      for (std::uint32_t peer = 0; peer < size; ++peer) {
        out_bytes.push_back(bytes_of(mine, peer));
        in_bytes.push_back(bytes_of(peer, mine));
        const Bytes part = pattern(out_bytes.back(), mine, peer + 10 * round);
        out.insert(out.end(), part.begin(), part.end());
        in_total += in_bytes.back();
      }
      const auto from = rank.put(out), outgoing = rank.make(out.size());
      const auto incoming = rank.make(in_total), to = rank.make(in_total);
      rank.copy(from, outgoing);
      rank.exchange().all_to_all(outgoing, out_bytes, incoming, in_bytes);
      rank.copy(incoming, to);
      const Bytes in = rank.get(to);
      std::size_t at = 0;
      for (std::uint32_t peer = 0; peer < size; ++peer) {
        expect_pattern(std::span(in).subspan(at, in_bytes[peer]), peer, mine + 10 * round, "rows");
        at += in_bytes[peer];
      }
      rank.exchange().finish(gathering);
      expect_gathered(rank.get(whole), size, 9, "a unit beside rows");
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST_P(Exchanges, SayWhenAUnitWasUnderWay) {
  const auto failures = run([](Rank& rank) {
    const auto chunk = rank.put(pattern(1000, rank.comm.rank(), 0));
    const auto whole = rank.make(1000 * rank.comm.size());
    rank.device().synchronize();
    const HostTime before = host_time();
    const GatheringHandle gathering =
        rank.exchange().start_all_gather({}, rank.device().fence(), chunk, whole);
    rank.exchange().finish(gathering);
    rank.device().synchronize();
    const HostTime after = host_time();
    const Interval interval = gathering->interval();
    if (interval.end < interval.begin) fail("a gathering ends before it begins");
    if (interval.begin + kClock < before || interval.end > after + kClock) {
      fail("a gathering was under way when it was not");
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST_P(Exchanges, AllocateZeroedMemoryOfSeveralCategories) {
  const auto failures = run([](Rank& rank) {
    const MemoryPlan before = rank.ledger.held();
    {
      const std::array<BufferPart, 2> parts{
          {{MemoryCategory::Shard, 4099}, {MemoryCategory::Resident, 5000}}};
      const Buffer memory = rank.exchange().allocate(rank.device(), rank.ledger, parts);
      if (memory.bytes() != 9099) fail("{} bytes", memory.bytes());
      if (rank.ledger.held()[MemoryCategory::Shard] != 4099 ||
          rank.ledger.held()[MemoryCategory::Resident] != 5000) {
        fail("the ledger holds something else");
      }
      if (rank.get(memory.span()) != Bytes(9099)) fail("it is not zeroed");
    }
    if (rank.ledger.held().bytes != before.bytes) fail("the ledger still holds it");
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST_P(Exchanges, FailWithWhatReadyThrew) {
  const auto failures = run([](Rank& rank) {
    const auto chunk = rank.put(pattern(1000, rank.comm.rank(), 0));
    const auto first = rank.make(1000 * rank.comm.size()), second = rank.make(first.size());
    rank.device().synchronize();
    const auto ready = [&rank]() -> bool {
      if (rank.comm.rank() == 0) fail("the disk is gone");
      return true;
    };
    rank.exchange().start_all_gather({}, nullptr, chunk, first);
    rank.exchange().finish(rank.exchange().start_all_gather(ready, nullptr, chunk, second));
    rank.device().synchronize();
  });
  EXPECT_EQ(failures[0], "the disk is gone");
  for (std::uint32_t rank = 1; rank < GetParam().ranks; ++rank) {
    EXPECT_EQ(failures[rank], "rank 0: the disk is gone");
  }
}

TEST_P(Exchanges, EndEveryWaitWhenARankFails) {
  const auto failures = run([](Rank& rank) {
    const auto chunk = rank.put(pattern(1000, rank.comm.rank(), 0));
    const auto whole = rank.make(1000 * rank.comm.size());
    rank.device().synchronize();
    if (rank.comm.rank() == 0) fail("no such file");
    rank.exchange().finish(rank.exchange().start_all_gather({}, nullptr, chunk, whole));
    rank.device().synchronize();  // whose watch looks at the exchange
  });
  EXPECT_EQ(failures[0], "no such file");
  for (std::uint32_t rank = 1; rank < GetParam().ranks; ++rank) {
    EXPECT_EQ(failures[rank], "rank 0: no such file");
  }
}

TEST_P(Exchanges, SayThatARankHasFailed) {
  const auto failures = run([](Rank& rank) {
    if (rank.comm.rank() == 0) fail("over");
    while (true) rank.exchange().check();
  });
  EXPECT_EQ(failures[0], "over");
  for (std::uint32_t rank = 1; rank < GetParam().ranks; ++rank) {
    EXPECT_EQ(failures[rank], "rank 0: over");
  }
}

TEST(StagedExchange, RefusesUnitsThatDoNotFitItsHostMemory) {
  cuda_emulator::reset();
  const auto failures = run_ranks(1, [](Communicator& comm) {
    Ledger ledger;
    const auto device = cuda::make_device(0);
    StagedExchange exchange(comm, *device, {1, 100, 100}, 0, ledger);
    const Buffer memory = allocate(*device, ledger, MemoryCategory::Slots, 101);
    exchange.start_all_gather({}, nullptr, memory.span(), memory.span());
  });
  EXPECT_THAT(failures[0], testing::HasSubstr("a unit of 101 bytes does not fit the 100 bytes"));
}

}  // namespace
}  // namespace initrt
