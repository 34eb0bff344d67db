// The timeline of a run: every read and what follows it, every gather, every unit that is run, on
// every rank, at times that fit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "sharding/read_plan.h"
#include "tests/golden/family_checkpoint.h"
#include "tests/runtime/comm/thread_ranks.h"
#include "tests/support/rank_model.h"
#include "tests/support/small_checkpoint.h"
#include "tests/support/source_path.h"

namespace initrt::testing {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

/// What one rank did, as its timeline and what else there is have it.
struct RankRun {
  Timeline timeline;
  std::vector<std::uint32_t> executed;  ///< units, as the engine's hook was told
  Placement placement;
  std::vector<float> logits;
  Interval when;

  [[nodiscard]] std::vector<Span> lane(Lane lane) const {
    std::vector<Span> spans;
    std::ranges::copy_if(timeline.spans(), std::back_inserter(spans),
                         [&](const Span& span) { return span.lane == lane; });
    return spans;
  }
};

using Runs = std::vector<std::unique_ptr<RankRun>>;

std::vector<std::uint32_t> units_of(const std::vector<Span>& spans) {
  std::vector<std::uint32_t> units;
  for (const Span& span : spans) units.push_back(span.unit);
  return units;
}

/// Brings the model up on all ranks, which score 10 tokens, 4 in a sweep, while it loads.
Runs run(const OpenModel& model, const Setting& setting, bool timed = true) {
  Runs runs;
  for (std::uint32_t i = 0; i < setting.world; ++i) runs.push_back(std::make_unique<RankRun>());
  const auto failures = run_ranks(setting.world, [&](Communicator& comm) {
    RankRun& mine = *runs[comm.rank()];
    RankModel rank(
        model, setting, comm, {}, [&](std::uint32_t unit) { mine.executed.push_back(unit); },
        timed ? &mine.timeline : nullptr);
    mine.placement = rank.placement();
    mine.when.begin = host_time();
    rank.instance().start_loading();
    const std::vector<TokenId> tokens = {1, 2, 3, 240, 7, 7, 130, 12, 9, 100};
    mine.logits = score_all(rank.engine(), tokens, 4);
    rank.instance().finish_loading();
    mine.when.end = host_time();
  });
  EXPECT_THAT(failures, Each(IsEmpty())) << setting;
  return runs;
}

/// How far times of a GPU may be off from those of the host.
HostTime slack() { return on_gpus() ? 50'000'000 : 0; }

void expect_times_fit(const RankRun& run) {
  std::map<std::pair<Lane, std::uint16_t>, HostTime> last;
  std::vector<Span> spans = run.timeline.spans();
  std::ranges::stable_sort(spans, {}, [](const Span& span) { return span.when.begin; });
  for (const Span& span : spans) {
    EXPECT_LE(span.when.begin, span.when.end);
    EXPECT_GE(span.when.begin, run.when.begin - slack());
    EXPECT_LE(span.when.end, run.when.end + slack());
    HostTime& before = last[{span.lane, span.worker}];
    EXPECT_GE(span.when.begin, before) << name(span.lane) << " of unit " << span.unit;
    before = span.when.end;
  }
}

std::map<std::uint32_t, std::uint64_t> spans_of_units(const std::vector<Span>& spans) {
  std::map<std::uint32_t, std::uint64_t> count;
  for (const Span& span : spans) ++count[span.unit];
  return count;
}

// Every planned read is there once, and its copy and conversion (float32 to bfloat16, or between
// orders) after it.
void expect_loading(const OpenModel& model, const Setting& setting, std::uint32_t rank,
                    const RankRun& run) {
  std::map<std::uint32_t, std::uint64_t> bytes, planned_reads, planned_bytes;
  for (std::uint32_t unit = 0; unit < model.graph.units.size(); ++unit) {
    const UnitReads plan =
        plan_reads(model.graph, model.layout, run.placement.cut, model.bindings, model.catalog,
                   unit, rank, read_limits(make_staging_ring(setting.staging)));
    if (plan.reads.empty()) continue;
    planned_reads[unit] = plan.reads.size();
    planned_bytes[unit] = plan.bytes();
  }
  const std::vector<Span> reads = run.lane(Lane::Read);
  for (const Span& span : reads) bytes[span.unit] += span.bytes;
  EXPECT_EQ(spans_of_units(reads), planned_reads);
  EXPECT_EQ(bytes, planned_bytes);
  std::vector<Lane> after = {Lane::Convert};
  if (on_gpus()) after.push_back(Lane::Copy);
  EXPECT_EQ(run.lane(Lane::Copy).empty(), !on_gpus());
  for (const Lane lane : after) {
    const std::vector<Span> spans = run.lane(lane);
    ASSERT_EQ(spans_of_units(spans), planned_reads) << name(lane);
    // A worker's spans are added in the order of its reads.
    std::map<std::uint16_t, std::vector<Span>> by_worker;
    for (const Span& span : spans) by_worker[span.worker].push_back(span);
    std::map<std::uint16_t, std::size_t> next;
    for (const Span& read : reads) {
      const Span& span = by_worker[read.worker].at(next[read.worker]++);
      EXPECT_EQ(span.unit, read.unit);
      EXPECT_GE(span.when.begin, read.when.end - slack());
      EXPECT_GT(span.bytes, 0u);
    }
  }
}

void expect_execution(const OpenModel& model, const RankRun& run) {
  const std::vector<Span> executed = run.lane(Lane::Execute);
  EXPECT_FALSE(executed.empty());
  EXPECT_EQ(units_of(executed), run.executed);
  for (const Span& span : executed) EXPECT_EQ(span.bytes, model.layout.units[span.unit].bytes);
}

// Before each unit is run it is gathered, but for a resident one that has been.
void expect_gathers(const RankRun& run) {
  const std::vector<Span> executed = run.lane(Lane::Execute), gathered = run.lane(Lane::Gather);
  std::vector<bool> whole(run.placement.cut.units.size(), false);
  std::size_t next = 0;
  for (const Span& execution : executed) {
    if (whole[execution.unit]) continue;
    ASSERT_LT(next, gathered.size());
    const Span& gather = gathered[next++];
    EXPECT_EQ(gather.unit, execution.unit);
    EXPECT_EQ(gather.bytes, run.placement.cut.gathered_bytes(gather.unit));
    EXPECT_LE(gather.when.end, execution.when.begin + slack());
    whole[execution.unit] = run.placement.cut.units[execution.unit].resident;
  }
  EXPECT_EQ(next, gathered.size());
}

void expect_timeline(const OpenModel& model, const Setting& setting) {
  const Runs runs = run(model, setting);
  const bool gathers =
      setting.transport == Transport::Mpi || (setting.transport == Transport::Mapped && on_gpus());
  for (std::uint32_t rank = 0; rank < setting.world; ++rank) {
    SCOPED_TRACE(::testing::Message() << setting << ", rank " << rank);
    EXPECT_EQ(runs[rank]->timeline.left_out(), 0u);
    expect_times_fit(*runs[rank]);
    expect_loading(model, setting, rank, *runs[rank]);
    expect_execution(model, *runs[rank]);
    if (gathers) {
      expect_gathers(*runs[rank]);
    } else {
      EXPECT_TRUE(runs[rank]->lane(Lane::Gather).empty());
    }
  }
}

class RunTimeline : public ::testing::Test {
 protected:
  const SmallCheckpoint checkpoint_;
  const OpenModel model_ = open_checkpoint_as(checkpoint_.directory.path(), "bf16-true");
};

TEST_F(RunTimeline, IsOfEveryReadGatherAndUnitOnEveryRank) {
  expect_timeline(model_, {});
  for (const std::uint32_t world : {2u, 3u}) {
    for (const Transport transport : transports_between(world)) {
      for (const std::uint32_t prefetch : {0u, 2u}) {
        Setting setting;
        setting.world = world;
        setting.transport = transport;
        setting.prefetch = prefetch;
        expect_timeline(model_, setting);
      }
    }
  }
}

// Where ops would be asked for once and repeated, each unit is still measured in each sweep.
TEST_F(RunTimeline, IsOfEverySweepWhereUnitsStayGathered) {
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mpi;
  setting.budget = 1ull << 30;
  expect_timeline(model_, setting);
  const Runs runs = run(model_, setting);
  for (const auto& rank : runs) {
    const std::size_t units = rank->lane(Lane::Gather).size();
    EXPECT_EQ(rank->lane(Lane::Execute).size(), 3 * units) << "three sweeps, each unit in each";
  }
}

TEST_F(RunTimeline, ChangesNoLogit) {
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mapped;
  for (const std::uint64_t budget : {0ull, 1ull << 30}) {
    setting.budget = budget;
    const Runs timed = run(model_, setting), other = run(model_, setting, /*timed=*/false);
    for (std::uint32_t rank = 0; rank < setting.world; ++rank) {
      EXPECT_EQ(timed[rank]->logits, other[rank]->logits);
      EXPECT_TRUE(other[rank]->timeline.spans().empty());
    }
  }
}

TEST_F(RunTimeline, IsOfTheExpertsThatWereChosen) {
  const TemporaryDirectory directory;
  write_family_checkpoint(source_path("tests/golden/families/mixtral"), directory.path());
  const OpenModel model = open_checkpoint_as(directory.path(), "bf16-true");
  Setting setting;
  setting.world = 2;
  setting.transport = Transport::Mpi;
  expect_timeline(model, setting);
  const std::vector<Span> executed = run(model, setting).front()->lane(Lane::Execute);
  EXPECT_TRUE(std::ranges::any_of(executed, [&](const Span& span) {
    return model.graph.units[span.unit].kind == UnitKind::Expert;
  }));
}

}  // namespace
}  // namespace initrt::testing
