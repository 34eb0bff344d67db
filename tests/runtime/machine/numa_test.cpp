// Cores and memory near GPUs, on the machine of two_sockets.xml (of hwloc): two sockets of 4 cores
// with 2 threads each (of core c: c and c + 8), each with its memory (NUMA nodes 0 and 1) and a GPU
// (17:00.0 and b1:00.0). Node 2, beside node 1, is memory of a GPU. Of the third GPU, e3:00.0, the
// firmware does not say where it is.
#include "runtime/machine/numa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "sharding/error.h"
#include "tests/support/source_path.h"

namespace initrt {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string two_sockets() {
  std::ostringstream text;
  text << std::ifstream(testing::source_path("tests/runtime/machine/two_sockets.xml")).rdbuf();
  return text.str();
}

NearDevice near_on_two_sockets(const std::string& bus_id, std::uint64_t allowed = ~0ull) {
  return near_device(Topology::of_xml(two_sockets()), bus_id, {allowed});
}

TEST(Numa, CoresOfTheDevicesNodeHaveTheirThreadsSideBySide) {
  const NearDevice first = near_on_two_sockets("0000:17:00.0");
  EXPECT_THAT(first.cores, ElementsAre(0, 8, 1, 9, 2, 10, 3, 11));
  EXPECT_THAT(first.nodes, ElementsAre(0));
  EXPECT_EQ(first.warning, "");
  EXPECT_THAT(near_on_two_sockets("00000000:B1:00.0").cores,
              ElementsAre(4, 12, 5, 13, 6, 14, 7, 15));
}

TEST(Numa, MemoryOfADeviceIsNotTheHosts) {
  EXPECT_THAT(near_on_two_sockets("0000:b1:00.0").nodes, ElementsAre(1));
}

TEST(Numa, OnlyCoresThatTheProcessMayUseCount) {
  EXPECT_THAT(near_on_two_sockets("0000:17:00.0", 0xff06).cores, ElementsAre(8, 1, 9, 2, 10, 11));
  EXPECT_THAT(near_device(Topology::of_xml(two_sockets()), "0000:17:00.0", {}).cores, IsEmpty());
}

TEST(Numa, WithoutCoresNearbyThereAreAllAndAWarning) {
  const NearDevice far = near_on_two_sockets("0000:17:00.0", 0x3030);
  EXPECT_THAT(far.cores, ElementsAre(4, 12, 5, 13));
  EXPECT_THAT(far.nodes, IsEmpty());
  EXPECT_THAT(far.warning, AllOf(HasSubstr("0000:17:00.0 is on NUMA node 0"),
                                 HasSubstr("none of that node's cores")));
}

TEST(Numa, NothingIsDoneForDevicesThatAreNowhereInParticular) {
  for (const char* bus_id : {"0000:e3:00.0", "0000:99:00.0", "not a bus id", ""}) {
    const NearDevice near = near_on_two_sockets(bus_id);
    EXPECT_THAT(near.cores, IsEmpty()) << bus_id;
    EXPECT_THAT(near.nodes, IsEmpty()) << bus_id;
    EXPECT_EQ(near.warning, "") << bus_id;
  }
}

TEST(Numa, NothingIsDoneOnAMachineOfOneNode) {
  const Topology one_node = Topology::of_xml(R"(<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE topology SYSTEM "hwloc2.dtd">
<topology version="2.0">
  <object type="Machine" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1"
        complete_nodeset="0x1" gp_index="1">
    <object type="NUMANode" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1"
        complete_nodeset="0x1" gp_index="2"/>
    <object type="PU" os_index="0" cpuset="0x1" complete_cpuset="0x1" nodeset="0x1"
        complete_nodeset="0x1" gp_index="3"/>
    <object type="PCIDev" gp_index="4" pci_busid="0000:17:00.0"
        pci_type="0302 [10de:2330] [10de:16c1] a1"/>
  </object>
</topology>
)");
  ASSERT_NE(hwloc_get_pcidev_by_busidstring(one_node.get(), "0000:17:00.0"), nullptr);
  EXPECT_THAT(near_device(one_node, "0000:17:00.0", {1}).cores, IsEmpty());
}

TEST(Numa, ThisMachinesDevicesAreKnownAsItsKernelKnowsThem) {
  const Topology machine = Topology::of_this_machine();
  ASSERT_NE(machine.get(), nullptr);
  std::size_t known = 0;
  for (hwloc_obj_t device = nullptr;
       (device = hwloc_get_next_pcidev(machine.get(), device)) != nullptr; ++known) {
    const auto& at = device->attr->pcidev;
    const std::string bus_id =
        fmt::format("{:04x}:{:02x}:{:02x}.{:x}", at.domain, at.bus, at.dev, at.func);
    EXPECT_TRUE(std::filesystem::exists("/sys/bus/pci/devices/" + bus_id)) << bus_id;
  }
  if (known == 0) GTEST_SKIP() << "a machine without PCI devices, or none that may be seen";
}

TEST(Numa, ANodesCoresAreSharedOutInOrderWithoutRest) {
  const std::vector<unsigned> cores = {0, 8, 1, 9, 2, 10, 3, 11};
  EXPECT_EQ(share_of_near_cores(cores, 1, 0), cores);
  EXPECT_THAT(share_of_near_cores(cores, 2, 0), ElementsAre(0, 8, 1, 9));
  EXPECT_THAT(share_of_near_cores(cores, 2, 1), ElementsAre(2, 10, 3, 11));
  for (std::size_t ranks = 1; ranks <= cores.size(); ++ranks) {
    std::vector<unsigned> all;
    for (std::size_t index = 0; index < ranks; ++index) {
      const std::vector<unsigned> part = share_of_near_cores(cores, ranks, index);
      EXPECT_GE(part.size(), cores.size() / ranks);
      EXPECT_LE(part.size(), cores.size() / ranks + 1);
      all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(all, cores) << ranks;
  }
}

TEST(Numa, MoreRanksThanCoresHaveOneEach) {
  std::vector<unsigned> uses(3);
  for (std::size_t index = 0; index < 7; ++index) {
    const std::vector<unsigned> part = share_of_near_cores({0, 1, 2}, 7, index);
    ASSERT_EQ(part.size(), 1u);
    ++uses[part[0]];
  }
  EXPECT_GE(*std::min_element(uses.begin(), uses.end()), 2u);
}

TEST(Numa, ATextThatIsNoTopologyIsAnError) {
  EXPECT_THROW((void)Topology::of_xml("<nothing/>"), Error);
}

// In threads of their own: binding is for good.
void in_a_thread(const std::function<void()>& body) { std::thread(body).join(); }

cpu_set_t cores_of_this_thread() {
  cpu_set_t set;
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

TEST(Numa, ThreadsStartedAfterBindingAreBound) {
  const cpu_set_t before = cores_of_this_thread();
  unsigned last = 0;
  for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &before)) last = core;
  }
  const Topology machine = Topology::of_this_machine();
  ASSERT_NE(machine.get(), nullptr);
  in_a_thread([&] {
    EXPECT_EQ(bind_near(machine, {last}, {}), "");
    in_a_thread([&] {
      const cpu_set_t bound = cores_of_this_thread();
      EXPECT_EQ(CPU_COUNT(&bound), 1);
      EXPECT_TRUE(CPU_ISSET(last, &bound));
    });
  });
  const cpu_set_t after = cores_of_this_thread();
  EXPECT_TRUE(CPU_EQUAL(&before, &after)) << "the thread that did not bind itself";
}

TEST(Numa, NearMemoryIsPreferredNotDemanded) {
  int policy = -1;
  if (syscall(SYS_get_mempolicy, &policy, nullptr, 0, nullptr, 0) != 0) {
    GTEST_SKIP() << "the kernel has no memory policies, or this container may not use them";
  }
  const Topology machine = Topology::of_this_machine();
  ASSERT_NE(machine.get(), nullptr);
  const auto node =
      static_cast<unsigned>(hwloc_bitmap_first(hwloc_topology_get_topology_nodeset(machine.get())));
  in_a_thread([&] {
    EXPECT_EQ(bind_near(machine, {}, {node}), "");
    in_a_thread([&] {
      ASSERT_EQ(syscall(SYS_get_mempolicy, &policy, nullptr, 0, nullptr, 0), 0);
      EXPECT_THAT(policy, ::testing::AnyOf(MPOL_PREFERRED, MPOL_PREFERRED_MANY));
    });
  });
}

TEST(Numa, WhatCannotBeBoundIsAWarning) {
  const Topology machine = Topology::of_this_machine();
  in_a_thread([&] {
    EXPECT_THAT(bind_near(machine, {100'000}, {100'000}),
                AllOf(HasSubstr("threads could not be bound near the GPU: "),
                      HasSubstr("; memory could not be kept near the GPU: ")));
    EXPECT_EQ(bind_near(machine, {}, {}), "");
  });
}

}  // namespace
}  // namespace initrt
