// Gathers on their own: embedding rows of other ranks, units that arrive late.
#include "runtime/exec/gather.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <thread>

#include "runtime/comm/host_exchange.h"
#include "runtime/device/cpu/cpu_device.h"
#include "sharding/error.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

std::vector<TokenId> every_token(const OpenModel& model) {
  std::vector<TokenId> tokens(model.graph.vocabulary);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

/// The rows of `tokens` as one rank that holds everything has them.
std::vector<std::byte> rows_of_one_rank(const OpenModel& model, std::span<const TokenId> tokens) {
  const EmbeddingTable table(model.graph, model.layout, make_cut(model.layout, 1));
  std::vector<std::byte> rows(tokens.size() * table.row_bytes());
  const auto failures = run_world(model, {}, [&](std::uint32_t, RankModel& rank) {
    rank.instance().finish_loading();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const TableRow row = table.find(tokens[i]);
      const std::vector<std::byte> bytes = rank.read_shard(
          rank.placement().cut.units[row.unit].offset + row.offset, table.row_bytes());
      std::memcpy(rows.data() + i * table.row_bytes(), bytes.data(), bytes.size());
    }
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
  return rows;
}

/// `world` ranks of one model, through MPI's code.
Setting setting_of(std::uint32_t world) {
  Setting setting;
  setting.world = world;
  setting.transport = Transport::Mpi;
  return setting;
}

/// One rank's gather, and what it works on.
struct GatherOfRank {
  GatherOfRank(const OpenModel& model, const Placement& placement, Communicator& comm,
               Exchange& exchange, std::span<std::byte> shard, std::size_t row_buffer_bytes)
      : buffers(row_buffer_bytes),
        gather(model.graph, model.layout, placement.cut, comm, exchange, *device, arrivals, shard,
               placement.slots, placement.memory[MemoryCategory::Slots], 0, ledger, buffers) {}

  Arrivals arrivals;
  Ledger ledger;
  std::vector<std::byte> buffers;  // of rows
  std::unique_ptr<Device> device = make_cpu_device(InstructionSet::Portable, 1, false);
  CollectiveGather gather;
};

// Every rank asks for every row, but for the last, which asks for none.
void expect_rows_whole(const OpenModel& model, std::uint32_t world, std::uint64_t budget) {
  const std::vector<TokenId> tokens = every_token(model);
  const std::vector<std::byte> expected = rows_of_one_rank(model, tokens);
  Setting setting = setting_of(world);
  setting.budget = budget;
  const auto failures = run_ranks(world, [&](Communicator& comm) {
    RankModel rank(model, setting, comm);
    rank.load();
    HostExchange exchange(comm);
    GatherOfRank own(model, rank.placement(), comm, exchange, rank.instance().shard(),
                     2 * expected.size());
    own.arrivals.advance(static_cast<std::uint32_t>(model.graph.units.size()));
    const bool none = comm.rank() == world - 1;
    const auto mine = none ? std::span<const TokenId>() : std::span<const TokenId>(tokens);
    std::vector<std::byte> rows(none ? 0 : expected.size());
    own.gather.fetch_rows(mine, static_cast<std::uint32_t>(tokens.size()), rows);
    EXPECT_TRUE(none || rows == expected) << world << " ranks, rank " << comm.rank();
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

TEST(CollectiveGather, BringsRowsOfAllRanks) {
  for (const SmallLlama& shape : {SmallLlama{}, tied_llama()}) {
    const SmallCheckpoint checkpoint(shape);
    for (const char* precision : {"32-true", "bf16-true"}) {
      const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), precision);
      for (const std::uint32_t world : {2u, 3u, 7u}) expect_rows_whole(model, world, 0);
      expect_rows_whole(model, 3, 1u << 30);  // tied tiles resident
    }
  }
}

/// Counts what goes through it.
class CountingExchange final : public HostExchange {
 public:
  using HostExchange::HostExchange;
  GatheringHandle start_all_gather(std::function<bool()> ready, FenceHandle free,
                                   std::span<const std::byte> chunk,
                                   std::span<std::byte> whole) override {
    ++gathered[whole.size()];
    return HostExchange::start_all_gather(std::move(ready), std::move(free), chunk, whole);
  }
  void send_receive(PartsToSend out, PartsToReceive in) override {
    ++all_to_alls;
    HostExchange::send_receive(out, in);
  }

  std::map<std::size_t, int> gathered;  ///< by bytes of the whole unit
  int all_to_alls = 0;
};

/// Every rank asks for `tokens` with buffers of so many rows. @returns how many all-to-alls it took
int all_to_alls_for(const OpenModel& model, std::uint32_t world,
                    const std::vector<TokenId>& tokens) {
  const std::vector<std::byte> expected = rows_of_one_rank(model, tokens);
  const Setting setting = setting_of(world);
  std::atomic<int> count{0};
  const auto failures = run_ranks(world, [&](Communicator& comm) {
    RankModel rank(model, setting, comm);
    rank.load();
    const EmbeddingTable table(model.graph, model.layout, rank.placement().cut);
    std::vector<std::byte> buffers(2 * expected.size()), rows(expected.size());
    CountingExchange exchange(comm);
    const auto device = make_cpu_device(InstructionSet::Portable, 1, false);
    RowExchange rows_of_ranks(table, rank.placement().cut, comm, exchange, *device,
                              rank.instance().shard(), buffers);
    for (int round = 0; round < 2; ++round) {  // what is kept from one to the next is in no way
      std::fill(rows.begin(), rows.end(), std::byte{0xee});
      rows_of_ranks.fetch(tokens, static_cast<std::uint32_t>(tokens.size()), rows);
      EXPECT_EQ(rows, expected) << world << " ranks, rank " << comm.rank();
    }
    count = exchange.all_to_alls / 2;
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
  return count;
}

TEST(RowExchange, BringsRowsInOneAllToAllWhereTheyFitItsBuffers) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  for (const std::uint32_t world : {2u, 3u, 7u}) {
    EXPECT_EQ(all_to_alls_for(model, world, every_token(model)), 1) << world;
  }
}

// One rank holds all that the others ask for, and its buffer has room for one of them.
TEST(RowExchange, TakesAsManyAllToAllsAsItsBuffersNeed) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  for (const std::uint32_t world : {2u, 3u, 7u}) {
    EXPECT_EQ(all_to_alls_for(model, world, std::vector<TokenId>(5, 0)),
              static_cast<int>(world) - 1);
  }
}

TEST(CollectiveGather, RefusesUnitsOutOfOrder) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    const Placement placement = place(model, setting_of(2));
    std::vector<std::byte> shard(placement.cut.memory_bytes());
    HostExchange exchange(comm);
    GatherOfRank own(model, placement, comm, exchange, shard, 0);
    own.gather.begin_sweep();
    own.gather.append(model.graph.execution_order());
    EXPECT_THROW((void)own.gather.acquire(2), Error);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

// A transport may connect in another way, or load another kernel, for each size.
TEST(CollectiveGather, WarmsUpWithEverySizeOfAUnit) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    const Placement placement = place(model, setting_of(2));
    std::map<std::size_t, int> sizes;
    for (std::uint32_t unit = 0; unit < model.graph.units.size(); ++unit) {
      if (model.graph.units[unit].kind != UnitKind::Embedding) {
        sizes[placement.cut.gathered_bytes(unit)] = 1;
      }
    }
    ASSERT_GT(sizes.size(), 1u);
    std::vector<std::byte> shard(placement.cut.memory_bytes());
    CountingExchange exchange(comm);
    GatherOfRank own(model, placement, comm, exchange, shard, 1024);
    own.gather.warm_up();
    EXPECT_EQ(exchange.gathered, sizes);
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
}

/// How many ranks have come to a unit; waiting for them ends with an Error, not never.
class Meeting {
 public:
  void arrive(std::uint32_t unit) { ++arrived_.at(unit); }
  void wait(std::uint32_t unit, std::uint32_t ranks) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (arrived_.at(unit) < ranks) {
      if (std::chrono::steady_clock::now() > deadline) fail("nobody comes to unit {}", unit);
      std::this_thread::yield();
    }
  }

 private:
  std::array<std::atomic<std::uint32_t>, 16> arrived_{};
};

// One rank reads each unit only once all ranks, itself too, have come to where they need it.
TEST(Gather, WaitsForChunksThatArriveLate) {
  const SmallCheckpoint checkpoint;
  const OpenModel model = open_checkpoint_as(checkpoint.directory.path(), "bf16-true");
  const std::vector<TokenId> tokens = {3, 508, 0, 77};
  const std::uint32_t world = 3;
  std::vector<float> expected;
  (void)run_world(model, {}, [&](std::uint32_t, RankModel& rank) {
    expected = score_all(rank.engine(), tokens, 4);
  });
  ASSERT_FALSE(expected.empty());
  for (const Transport transport : transports_between(world)) {
    for (const std::uint32_t prefetch : {0u, 2u}) {
      Setting setting;
      setting.world = world;
      setting.transport = transport;
      setting.prefetch = prefetch;
      Meeting meeting;
      const auto failures = run_ranks(world, [&](Communicator& comm) {
        const auto on_load = [&](std::uint32_t unit) {
          const bool run = model.graph.units[unit].kind != UnitKind::Embedding;
          if (comm.rank() == 1 && run) meeting.wait(unit, world);
        };
        const auto on_execute = [&](std::uint32_t unit) { meeting.arrive(unit); };
        RankModel rank(model, setting, comm, on_load, on_execute);
        rank.instance().start_loading();
        EXPECT_EQ(score_all(rank.engine(), tokens, 4), expected) << setting;
        rank.instance().finish_loading();
      });
      EXPECT_THAT(failures, Each(IsEmpty())) << setting;
    }
  }
}

}  // namespace
}  // namespace initrt::testing
