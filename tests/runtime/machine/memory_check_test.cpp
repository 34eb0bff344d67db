#include "runtime/machine/memory_check.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "runtime/comm/self.h"
#include "sharding/error.h"
#include "tests/runtime/comm/thread_ranks.h"

namespace initrt {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
constexpr const char* kMemInfo =
    "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    600 kB\n"
    "SwapCached:        0 kB\nSwapTotal:       200 kB\n";

TEST(NodeMemory, IsMemoryAndSwapUpToTheControlGroupsLimit) {
  const NodeMemory node = parse_node_memory(kMemInfo, kNoLimit);
  EXPECT_EQ(node.total, 1200u * 1024);
  EXPECT_EQ(node.available, 600u * 1024);
  const NodeMemory limited = parse_node_memory(kMemInfo, 500 * 1024);
  EXPECT_EQ(limited.total, 500u * 1024);
  EXPECT_EQ(limited.available, 500u * 1024);
}

TEST(NodeMemory, IsWithoutLimitWhereTheKernelDoesNotTell) {
  EXPECT_EQ(parse_node_memory("", kNoLimit).total, kNoLimit);
  EXPECT_EQ(memory_warning(1ull << 60, 4, parse_node_memory("", kNoLimit)), "");
}

TEST(NodeMemory, PlansBeyondWhatIsAvailableAreWarnedOfAndThoseBeyondTheNodeRefused) {
  const NodeMemory node{1200, 600};
  EXPECT_EQ(memory_warning(600, 2, node), "");
  EXPECT_NE(memory_warning(601, 2, node).find("the 2 ranks of a node plan 601 B"),
            std::string::npos);
  EXPECT_NE(memory_warning(1200, 2, node), "");
  EXPECT_THROW((void)memory_warning(1201, 2, node), Error);
}

TEST(NodeMemory, OfThisNodeHoldsALittle) {
  SelfCommunicator self;
  EXPECT_GT(node_memory().total, 1u << 20);
  EXPECT_GE(node_memory().total, node_memory().available);
  EXPECT_EQ(check_node_memory(self, 1, 4096), "");
  EXPECT_THROW((void)check_node_memory(self, 1, 1ull << 60), Error);
}

constexpr const char* kStatus = "Name:\tinitrt\nVmSize:\t    1000 kB\nVmData:\t     100 kB\n";

MemoryPlan small_plan() {
  MemoryPlan plan;
  plan[MemoryCategory::Shard] = 1000;
  plan[MemoryCategory::Resident] = 200;
  plan[MemoryCategory::Staging] = 30;
  plan[MemoryCategory::Pinned] = 4;
  return plan;
}

TEST(ProcessLimits, ConcernPrivateMemoryAndAllThatIsMapped) {
  const ProcessNeeds alone = process_needs(small_plan(), false, 0);
  EXPECT_EQ(alone.data, 1234u);
  EXPECT_EQ(alone.address_space, 1234u);
  const ProcessNeeds mapped = process_needs(small_plan(), false, 3);
  EXPECT_EQ(mapped.data, 34u);
  EXPECT_EQ(mapped.address_space, 34u + 4 * 1200) << "its own to write, and all three to read";
  const ProcessNeeds gpu = process_needs(small_plan(), true, 0);
  EXPECT_EQ(gpu.data, 34u);
}

TEST(ProcessLimits, AreRefusalsBeforeTheyAreMet) {
  const std::uint64_t has = 1000 << 10, has_data = 100 << 10;
  const ProcessNeeds needs{5000, 9000};
  EXPECT_EQ(beyond_process_limits(needs, {}, kStatus), "");
  EXPECT_EQ(beyond_process_limits(needs, {has + 9000, has_data + 5000}, kStatus), "");
  EXPECT_EQ(beyond_process_limits(needs, {has + 8999, {}}, kStatus),
            "this process has 1.02 MB of address space and plans 9 kB more, but is limited to 1.03 "
            "MB (ulimit -v, RLIMIT_AS): a higher limit would do, and more ranks, a smaller "
            "precision, context, batch or memory.budget would need less");
  EXPECT_THAT(beyond_process_limits(needs, {{}, has_data + 4999}, kStatus),
              ::testing::HasSubstr("of data and plans 5 kB more, but is limited to 107 kB (ulimit "
                                   "-d, RLIMIT_DATA)"));
  EXPECT_NE(beyond_process_limits(needs, {1, 1}, kStatus), "") << "less than it has";
}

TEST(ProcessLimits, OfThisProcessAreWhatItWasGiven) {
  const auto check_under_a_limit = [] {
    std::uint64_t pages = 0;  // of address space in use, of which sanitizers take terabytes
    std::ifstream("/proc/self/statm") >> pages;
    const std::uint64_t bytes = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    const struct rlimit limit {
      bytes + (1u << 30), bytes + (1u << 30)
    };
    setrlimit(RLIMIT_AS, &limit);
    try {
      check_process_limits({4096, 4096});
      check_process_limits({5ull << 30, 5ull << 30});
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
      std::_Exit(1);
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(check_under_a_limit(), ::testing::ExitedWithCode(1), "RLIMIT_AS");
}

// What each rank is told, a line each.
std::string refusals(const std::vector<GpuPlan>& plans) {
  std::vector<std::string> told(plans.size());
  run_ranks(static_cast<std::uint32_t>(plans.size()), [&](Communicator& comm) {
    try {
      check_gpu_memory(comm, plans[comm.rank()], "a GPU");
    } catch (const Error& error) {
      told[comm.rank()] = error.what();
    }
  });
  return fmt::format("{}", fmt::join(told, "\n"));
}

TEST(GpuMemory, IsWhatTheRanksOfOneGpuHaveTogether) {
  const std::array<std::uint8_t, 16> a{1}, b{2};
  const std::string advice =
      "more GPUs, a smaller precision, context, batch or memory.budget would need less";
  EXPECT_EQ(refusals({{a, 60, 100}, {b, 100, 100}, {a, 40, 100}}), "\n\n");
  EXPECT_EQ(refusals({{a, 100, 100}, {b, 101, 100}}),
            "\nrank 1 plans 101 B of that GPU's memory, but a GPU has 100 B free: " + advice);
  const std::string shared =
      "rank 1 and 1 more on its GPU plan 100 B of that GPU's memory, but a GPU has 99 B free: " +
      advice;
  EXPECT_EQ(refusals({{b, 1, 100}, {a, 60, 100}, {a, 40, 99}}), "\n" + shared + "\n" + shared);
}

TEST(GpuMemory, LeavesAMarginForWhatIsNotPlanned) {
  const std::array<std::uint8_t, 16> a{1};
  EXPECT_EQ(refusals({{a, 90, 100, 10}}), "");
  EXPECT_EQ(refusals({{a, 45, 100, 5}, {a, 45, 100, 5}}), "\n");
  EXPECT_EQ(
      refusals({{a, 91, 100, 10}}),
      "rank 0 plans 91 B of that GPU's memory and the driver some 10 B beside it, but a GPU has "
      "100 B free: more GPUs, a smaller precision, context, batch or memory.budget would need "
      "less");
  EXPECT_NE(refusals({{a, 45, 100, 6}, {a, 45, 100, 6}}), "\n");
  EXPECT_EQ(gpu_margin_bytes(64), 1u);
  EXPECT_EQ(gpu_margin_bytes(141ull << 30), 512u << 20);
}

}  // namespace
}  // namespace initrt
