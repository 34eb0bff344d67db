#include "runtime/machine/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <system_error>

#include "runtime/device/host_memory.h"
#include "runtime/device/start_thread.h"
#include "tests/support/temporary_directory.h"

namespace initrt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

void write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST(Limits, OfControlGroupsAreTheLeastOfThoseAround) {
  const testing::TemporaryDirectory directory;
  const std::string& root = directory.path();
  write(root + "/proc/self/cgroup", "0::/outer/inner\n");
  write(root + "/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write(root + "/sys/fs/cgroup/outer/memory.max", "64000000\n");
  write(root + "/sys/fs/cgroup/outer/pids.max", "100\n");
  write(root + "/sys/fs/cgroup/outer/inner/pids.max", "20\n");
  EXPECT_THAT(limits_on(Resource::Memory, root),
              AllOf(HasSubstr("memory of its control group (memory.max) to 64 MB"),
                    Not(HasSubstr("pids.max"))));
  EXPECT_THAT(limits_on(Resource::Threads, root),
              HasSubstr("those of its control group (pids.max) to 20"));
}

TEST(Limits, OfControlGroupsOfVersionOneAreFoundToo) {
  const testing::TemporaryDirectory directory;
  const std::string& root = directory.path();
  write(root + "/proc/self/cgroup", "4:memory:/a\n3:pids:/a\n");
  write(root + "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "32000000\n");
  write(root + "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write(root + "/sys/fs/cgroup/pids/a/pids.max", "7\n");
  EXPECT_THAT(limits_on(Resource::Memory, root), HasSubstr("(memory.max) to 32 MB"));
  EXPECT_THAT(limits_on(Resource::Threads, root), HasSubstr("(pids.max) to 7"));
}

TEST(FailureText, SaysWhatCouldNotBeHadAndOnlyThen) {
  EXPECT_EQ(failure_text(Error("a file is not there")), "a file is not there");
  EXPECT_THAT(failure_text(std::bad_alloc()), StartsWith("out of memory: "));
  EXPECT_THAT(failure_text(ResourceError(Resource::Threads, "cannot start it")),
              StartsWith("cannot start it"));
  EXPECT_THAT(failure_text(std::system_error(
                  std::make_error_code(std::errc::resource_unavailable_try_again))),
              StartsWith("a thread could not be started: "));
}

// In a process of its own, whose address space has an end.
[[noreturn]] void print_failure_under_a_limit(const std::function<void()>& body) {
  const struct rlimit limit {
    1u << 30, 1u << 30
  };
  setrlimit(RLIMIT_AS, &limit);
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", failure_text(error).c_str());
    std::_Exit(1);
  }
  std::_Exit(0);
}

TEST(FailureText, OfMemoryNamesTheBytesAndTheLimit) {
  const auto allocate = [] {
    Ledger ledger;
    (void)allocate_host_memory(ledger, MemoryCategory::Shard, 5ull << 30);
  };
  EXPECT_EXIT(print_failure_under_a_limit(allocate), ::testing::ExitedWithCode(1),
              "cannot allocate 5368709120 bytes for shard: Cannot allocate memory; this process.s "
              "address space .ulimit -v, RLIMIT_AS. is limited to 1.07 GB");
}

TEST(FailureText, OfAThreadNamesItAndTheLimit) {
  const auto start_many = [] {                           // until their stacks do not fit
    auto* const threads = new std::vector<std::thread>;  // still there when the process ends
    for (int i = 0; i < 10'000; ++i) {
      threads->push_back(start_thread(
          "a thread of this test", [] { std::this_thread::sleep_for(std::chrono::minutes(1)); }));
    }
  };
  EXPECT_EXIT(print_failure_under_a_limit(start_many), ::testing::ExitedWithCode(1),
              "cannot start a thread of this test: Resource temporarily unavailable; this "
              "process.s address space .ulimit -v, RLIMIT_AS. is limited to 1.07 GB");
}

}  // namespace
}  // namespace initrt
