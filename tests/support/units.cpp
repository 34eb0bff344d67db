#include "tests/support/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/load/loader.h"
#include "sharding/read_totals.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/sharding/canonical.h"

namespace initrt::testing {

Units units_of(const OpenModel& model, const Setting& setting) {
  Units units(model.graph.units.size());
  const Cut cut = place(model, setting).cut;
  for (std::uint32_t unit = 0; unit < units.size(); ++unit) {
    units[unit].resize(cut.gathered_bytes(unit));
  }
  const auto failures = run_ranks(setting.world, [&](Communicator& comm) {
    RankModel rank(model, setting, comm);
    rank.load();
    for (std::uint32_t unit = 0; unit < units.size(); ++unit) {
      const std::uint64_t bytes = cut.units[unit].chunk_bytes;
      const std::vector<std::byte> chunk =
          rank.read_shard(cut.chunk_offset(unit, comm.rank()), bytes);
      std::memcpy(units[unit].data() + comm.rank() * bytes, chunk.data(), bytes);
    }
  });
  EXPECT_THAT(failures, ::testing::Each(::testing::IsEmpty())) << setting;
  for (std::uint32_t unit = 0; unit < units.size(); ++unit) {
    units[unit] = canonical_unit(model.layout, cut, unit, units[unit]);
  }
  return units;
}

Setting mapped_ranks(std::uint32_t world, Move move) {
  Setting setting;
  setting.world = world;
  setting.transport = world == 1 ? Transport::Self : Transport::Mapped;
  setting.move = move;
  return setting;
}

std::uint64_t bytes_read(const OpenModel& model, std::uint32_t world, std::uint64_t staging) {
  const Cut cut = make_cut(model.layout, world);
  const ReadCounter reads({model.graph, model.layout, cut, model.bindings, model.catalog},
                          read_limits(make_staging_ring(staging)));
  std::uint64_t bytes = 0;
  for (std::uint32_t rank = 0; rank < world; ++rank) bytes += reads.of_rank(rank).bytes;
  return bytes;
}

}  // namespace initrt::testing
