#include "tests/support/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

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

}  // namespace initrt::testing
