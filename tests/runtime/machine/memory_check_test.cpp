#include "runtime/machine/memory_check.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

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
