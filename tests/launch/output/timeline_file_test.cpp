// The trace that all ranks' spans become.
#include "launch/output/timeline_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/runtime/comm/thread_ranks.h"
#include "tests/support/process.h"
#include "tests/support/temporary_directory.h"

namespace initrt::testing {
namespace {

using nlohmann::json;
using ::testing::Each;
using ::testing::IsEmpty;

Graph two_units() {
  Graph graph;
  graph.units.resize(2);
  graph.units[0].name = "embedding.0";
  graph.units[1].name = "block \"1\"";  // whatever a name holds
  return graph;
}

class TimelineFileTest : public ::testing::Test {
 protected:
  /// The file that `world` ranks write after each has added its spans.
  json written(std::uint32_t world, const std::function<void(std::uint32_t, Timeline&)>& add,
               bool one_clock = true, std::size_t most = Timeline::kMaxSpans) {
    const Graph graph = two_units();
    const auto failures = run_ranks(world, [&](Communicator& comm) {
      TimelineFile file(comm, path_, most);
      file.start(one_clock);
      add(comm.rank(), file.timeline());
      file.write(graph);
    });
    EXPECT_THAT(failures, Each(IsEmpty()));
    return json::parse(contents(path_));
  }

  static std::vector<json> events(const json& trace, const std::string& kind) {
    std::vector<json> found;
    for (const json& event : trace.at("traceEvents")) {
      if (event.at("ph") == kind) found.push_back(event);
    }
    return found;
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.file("trace.json");
};

TEST_F(TimelineFileTest, HasAnEventForEverySpan) {
  HostTime begin = 0;
  const json trace = written(1, [&](std::uint32_t, Timeline& timeline) {
    begin = host_time();
    timeline.add({{begin + 1'000'000, begin + 1'234'567}, 4096, 1, 2, Lane::Convert});
  });
  const std::vector<json> spans = events(trace, "X");
  ASSERT_EQ(spans.size(), 1u);
  const json& span = spans.front();
  EXPECT_EQ(span.at("name"), "block \"1\"");
  EXPECT_EQ(span.at("cat"), "convert");
  EXPECT_EQ(span.at("pid"), 0);
  EXPECT_EQ(span.at("args"), json({{"unit", "block \"1\""}, {"bytes", 4096}}));
  EXPECT_DOUBLE_EQ(span.at("dur").get<double>(), 234.567);
  EXPECT_GE(span.at("ts").get<double>(), 1000.0);  // after the zero, which was before `begin`
  EXPECT_LE(span.at("ts").get<double>(), 1e7);
}

TEST_F(TimelineFileTest, NamesRanksAndLanesOnce) {
  const json trace = written(2, [](std::uint32_t rank, Timeline& timeline) {
    const HostTime now = host_time();
    for (int i = 0; i < 3; ++i) {
      timeline.add({{now, now}, 1, 0, 11, Lane::Read});
      if (rank == 1) timeline.add({{now, now}, 1, 0, 0, Lane::Execute});
    }
  });
  std::map<int, std::string> ranks;
  std::map<std::pair<int, int>, std::string> lanes;
  std::set<std::pair<int, int>> sorted;
  for (const json& event : events(trace, "M")) {
    const int pid = event.at("pid"), tid = event.at("tid");
    if (event.at("name") == "process_name") {
      EXPECT_TRUE(ranks.emplace(pid, event.at("args").at("name")).second);
    } else if (event.at("name") == "thread_name") {
      EXPECT_TRUE((lanes.emplace(std::pair(pid, tid), event.at("args").at("name")).second));
    } else {
      EXPECT_EQ(event.at("name"), "thread_sort_index");
      EXPECT_TRUE((sorted.emplace(pid, tid).second));
    }
  }
  EXPECT_EQ(ranks, (std::map<int, std::string>{{0, "rank 0"}, {1, "rank 1"}}));
  std::multiset<std::string> names;
  for (const auto& [place, name] : lanes) {
    names.insert(std::to_string(place.first) + " " + name);
    EXPECT_TRUE(sorted.contains(place));
  }
  EXPECT_EQ(names, (std::multiset<std::string>{"0 read 11", "1 read 11", "1 execute"}));
  for (const json& event : events(trace, "X")) {
    const std::string name = lanes.at({event.at("pid").get<int>(), event.at("tid").get<int>()});
    EXPECT_TRUE(name.starts_with(event.at("cat").get<std::string>())) << name;
  }
}

// More spans than go between ranks at once, fewer, and none.
TEST_F(TimelineFileTest, HasAllRanksSpansInTheirOrder) {
  const std::vector<std::uint64_t> counts = {5, 10'000, 0, 4096};
  const json trace = written(4, [&](std::uint32_t rank, Timeline& timeline) {
    const HostTime now = host_time();
    for (std::uint64_t i = 0; i < counts[rank]; ++i) {
      timeline.add({{now, now + 1}, i, 1, 0, Lane::Gather});
    }
  });
  std::vector<std::uint64_t> seen(4);
  for (const json& event : events(trace, "X")) {
    std::uint64_t& next = seen[event.at("pid").get<std::size_t>()];
    ASSERT_EQ(event.at("args").at("bytes"), next);
    ++next;
  }
  EXPECT_EQ(seen, counts);
  EXPECT_EQ(trace.at("otherData").at("spans_left_out"), json({0, 0, 0, 0}));
}

TEST_F(TimelineFileTest, SaysHowManySpansItLeftOut) {
  const json trace = written(
      2,
      [](std::uint32_t rank, Timeline& timeline) {
        for (std::uint32_t i = 0; i < 3 + rank; ++i) timeline.add({{}, 1, 0, 0, Lane::Read});
      },
      /*one_clock=*/true, /*most=*/3);
  EXPECT_EQ(events(trace, "X").size(), 6u);
  EXPECT_EQ(trace.at("otherData").at("spans_left_out"), json({0, 1}));
}

TEST_F(TimelineFileTest, CountsFromOneZeroWhereRanksShareAClock) {
  const HostTime moment = host_time() + 3'600'000'000'000;
  const auto add = [&](std::uint32_t, Timeline& timeline) {
    timeline.add({{moment, moment}, 1, 0, 0, Lane::Read});
  };
  const std::vector<json> spans = events(written(3, add), "X");
  ASSERT_EQ(spans.size(), 3u);
  for (const json& span : spans) EXPECT_EQ(span.at("ts"), spans.front().at("ts"));
}

// Where clocks have nothing to do with each other, what all ranks do at once is at one time.
TEST_F(TimelineFileTest, CountsFromACollectiveWhereRanksDoNot) {
  const auto add = [&](std::uint32_t, Timeline& timeline) {
    const HostTime now = host_time();
    timeline.add({{now, now}, 1, 0, 0, Lane::Read});
  };
  for (const json& span : events(written(3, add, /*one_clock=*/false), "X")) {
    EXPECT_GE(span.at("ts").get<double>(), 0.0);
    EXPECT_LE(span.at("ts").get<double>(), 1e7);
  }
}

TEST_F(TimelineFileTest, IsNotThereBeforeItIsWhole) {
  const auto failures = run_ranks(2, [&](Communicator& comm) {
    const TimelineFile file(comm, path_);
    EXPECT_EQ(contents(path_), "");
  });
  EXPECT_THAT(failures, Each(IsEmpty()));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace initrt::testing
