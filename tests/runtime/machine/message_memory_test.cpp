#include "runtime/machine/message_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"

namespace initrt::testing {
namespace {

constexpr std::uint64_t kSegment = 4u << 20;

void make_file(const std::string& path, std::uint64_t bytes) {
  std::ofstream(path).close();
  std::filesystem::resize_file(path, bytes);
}

TEST(MessageMemory, IsWhatMpisFilesHaveNotTakenYet) {
  const TemporaryDirectory directory;
  EXPECT_EQ(message_memory(directory.path()).to_come, 0u);
  make_file(directory.file("vader_segment.host.0.1.0"), kSegment);
  make_file(directory.file("sm_segment.host.0.1.1"), kSegment);
  make_file(directory.file("somebody_elses"), kSegment);
  const MessageMemory none_used = message_memory(directory.path());
  EXPECT_EQ(none_used.files, 2u);
  EXPECT_EQ(none_used.to_come, 2 * kSegment);
  EXPECT_GT(none_used.free, 0u);
  std::ofstream(directory.file("sm_segment.host.0.1.1"))
      << std::string(kSegment, 'x') << std::flush;
  EXPECT_EQ(message_memory(directory.path()).to_come, kSegment);
}

TEST(MessageMemory, ThatIsNotThereIsNone) {
  const MessageMemory none = message_memory("/nowhere");
  EXPECT_EQ(none.files, 0u);
  EXPECT_EQ(message_memory_warning(none, "a node"), "") << "messages go over sockets";
}

TEST(MessageMemory, ThatMayRunOutIsToldWithWhatToDo) {
  EXPECT_EQ(message_memory_warning({2, 2 * kSegment, 2 * kSegment}, "a node"), "");
  EXPECT_EQ(
      message_memory_warning({2, 2 * kSegment, 2 * kSegment - 1}, "node n1"),
      "MPI's messages between the 2 ranks of node n1 may take 8.39 MB more of /dev/shm, which "
      "has 8.39 MB left: were it to run out, a rank would die of a bus error; give it more "
      "(--shm-size=1g for a container), or set OMPI_MCA_btl=^vader to send them over sockets");
}

}  // namespace
}  // namespace initrt::testing
