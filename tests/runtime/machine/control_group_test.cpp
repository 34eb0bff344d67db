#include "runtime/machine/control_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <climits>
#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What a process sees of its control groups: /proc/self/cgroup, and files below /sys/fs/cgroup.
class ControlGroups {
 public:
  explicit ControlGroups(const std::string& groups) { write("/proc/self/cgroup", groups); }

  ControlGroups& with(const std::string& file, const std::string& text) {
    write("/sys/fs/cgroup/" + file, text);
    return *this;
  }
  [[nodiscard]] const std::string& root() const { return directory_.path(); }

 private:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  const testing::TemporaryDirectory directory_;
};

TEST(ControlGroup, AQuotaIsRoundedUpToCores) {
  EXPECT_EQ(parse_cpu_quota("200000 100000\n"), 2u);
  EXPECT_EQ(parse_cpu_quota("200001 100000"), 3u);
  EXPECT_EQ(parse_cpu_quota("1000 100000"), 1u);
  EXPECT_EQ(parse_cpu_quota("150000\n 100000\n"), 2u);
}

TEST(ControlGroup, WithoutAQuotaThereIsNoLimit) {
  for (const char* text : {"max 100000\n", "-1\n 100000\n", "", " ", "0 100000", "100000 0",
                           "100000", "a b", "9223372036854775807 1"}) {
    EXPECT_EQ(parse_cpu_quota(text), UINT_MAX) << text;
  }
}

TEST(ControlGroup, TheLeastOfTheGroupsAroundAProcessHolds) {
  ControlGroups nested("0::/a/b\n");
  nested.with("a/b/cpu.max", "max 100000\n").with("cpu.max", "800000 100000\n");
  EXPECT_EQ(cpu_quota(nested.root()), 8u);
  nested.with("a/cpu.max", "300000 100000\n");
  EXPECT_EQ(cpu_quota(nested.root()), 3u);
  EXPECT_EQ(cpu_quota(ControlGroups("0::/\n").with("cpu.max", "250000 100000\n").root()), 3u);
}

TEST(ControlGroup, MemoryIsLimitedByEitherVersion) {
  EXPECT_EQ(control_group_memory(ControlGroups("0::/a\n").root()), std::nullopt);
  ControlGroups second("0::/a/b\n");
  second.with("a/b/memory.max", "max\n").with("a/memory.max", "5000\n");
  EXPECT_EQ(control_group_memory(second.root()), 5000u);
  // As a container sees it: its own group is the root of what is mounted.
  ControlGroups first("9:memory:/docker/abc\n0::/docker/abc\n");
  first.with("memory/memory.limit_in_bytes", "7000\n");
  EXPECT_EQ(control_group_memory(first.root()), 7000u);
  first.with("memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(control_group_memory(first.root()), std::nullopt) << "version 1's word for no limit";
}

TEST(ControlGroup, Version1IsReadToo) {
  ControlGroups old("12:memory:/m\n4:cpu,cpuacct:/docker/x\n0::/\n");
  EXPECT_EQ(cpu_quota(old.root()), UINT_MAX);
  old.with("cpu/cpu.cfs_quota_us", "400000\n").with("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(old.root()), 4u) << "a container's own group, where the host's path is not";
  old.with("cpu/docker/x/cpu.cfs_quota_us", "50000\n");
  old.with("cpu/docker/x/cpu.cfs_period_us", "25000\n");
  EXPECT_EQ(cpu_quota(old.root()), 2u);
}

TEST(ControlGroup, DirectoriesGoFromAProcesssGroupOutwards) {
  const ControlGroups groups("5:cpu:/v1\n1:name=systemd:/s\n0::/a/b\n");
  const std::string mount = groups.root() + "/sys/fs/cgroup";
  EXPECT_THAT(control_group_directories("", groups.root()),
              ElementsAre(mount + "/a/b", mount + "/a", mount));
  EXPECT_THAT(control_group_directories("cpu", groups.root()),
              ElementsAre(mount + "/cpu/v1", mount + "/cpu"));
  EXPECT_THAT(control_group_directories("memory", groups.root()), IsEmpty());
}

TEST(ControlGroup, TextThatIsNotTheKernelsHasNoDirectories) {
  for (const char* text : {"", "nonsense\n", "0::relative\n", "0:\n", "::\n"}) {
    EXPECT_THAT(control_group_directories("", ControlGroups(text).root()), IsEmpty()) << text;
  }
  EXPECT_GE(cpu_quota(), 1u);
}

}  // namespace
}  // namespace initrt
