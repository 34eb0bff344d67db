#include "runtime/storage/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <future>

#include "sharding/error.h"
#include "tests/support/process.h"
#include "tests/support/temporary_directory.h"

namespace {

/// What was asked of the disk, in order, by the two functions below.
std::vector<std::string> disk_calls;
int fsync_error = 0;      // errno of every fsync(2) to come, or 0
int directory_error = 0;  // the same for directories alone

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

}  // namespace

// In place of libc's, for the whole program: they note the call, and make it.
extern "C" int fsync(int fd) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  disk_calls.push_back("fsync " + file_name(std::filesystem::read_symlink(self)));
  const int error =
      directory_error != 0 && std::filesystem::is_directory(self) ? directory_error : fsync_error;
  if (error != 0) {
    errno = error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fsync, fd));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  disk_calls.push_back("rename " + file_name(from) + " " + file_name(to));
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

namespace initrt {
namespace {

void write_file(const std::string& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

namespace fs = std::filesystem;
using testing::contents;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class OutputFileTest : public ::testing::Test {
 protected:
  // Names of all that is in the directory, sorted.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(directory_.path())) {
      all.push_back(entry.path().filename());
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  // What the error says after "<path>: cannot be written: ".
  [[nodiscard]] std::string refusal(const std::function<void()>& call) const {
    try {
      call();
    } catch (const Error& error) {
      const std::string opening = path_ + ": cannot be written: ", text = error.what();
      EXPECT_THAT(text, StartsWith(opening));
      return text.substr(opening.size());
    }
    return "no error";
  }

  const testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.file("a");
};

TEST_F(OutputFileTest, ReplacesTheOldFileAtOnce) {
  write_file(path_, "old");
  OutputFile file(path_);
  file.write("new ");
  file.write("file");
  EXPECT_EQ(contents(path_), "old");
  file.close();
  EXPECT_EQ(contents(path_), "old");
  file.commit();
  EXPECT_EQ(contents(path_), "new file");
  EXPECT_THAT(names(), ElementsAre("a"));
}

TEST_F(OutputFileTest, LeavesNothingWithoutCommit) {
  { OutputFile(path_).write("x"); }
  {
    OutputFile closed(path_);
    closed.close();
  }
  EXPECT_THAT(names(), ElementsAre());
}

TEST_F(OutputFileTest, FollowsLinksToTheFileThatIsReplaced) {
  fs::create_directory(directory_.file("d"));
  const std::string target = directory_.file("d/target");
  fs::create_symlink("d/link", path_);
  fs::create_symlink("target", directory_.file("d/link"));
  write_file(path_, "through a broken link");
  EXPECT_EQ(contents(target), "through a broken link");
  write_file(path_, "again");
  EXPECT_EQ(contents(target), "again");
  EXPECT_TRUE(fs::is_symlink(path_));
  EXPECT_TRUE(fs::is_symlink(directory_.file("d/link")));
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(target)));
  EXPECT_THAT(names(), ElementsAre("a", "d"));
}

TEST_F(OutputFileTest, RefusesLinksInACircle) {
  fs::create_symlink("a", path_);
  EXPECT_THAT(refusal([&] { write_file(path_, "x"); }), HasSubstr("symbolic links"));
  EXPECT_TRUE(fs::is_symlink(path_));
}

TEST_F(OutputFileTest, WritesIntoAFifo) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  auto read = std::async(std::launch::async, [&] { return contents(path_); });
  write_file(path_, "through a FIFO");
  EXPECT_EQ(read.get(), "through a FIFO");
  EXPECT_TRUE(fs::is_fifo(fs::symlink_status(path_)));
  EXPECT_THAT(names(), ElementsAre("a"));
}

// What --report /dev/stdout is, where standard output goes to a file.
TEST_F(OutputFileTest, AddsToAFileThatIsNamedByItsDescriptor) {
  const int fd = open(path_.c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(write(fd, "before, ", 8), 8);
  write_file("/proc/self/fd/" + std::to_string(fd), "after");
  struct stat open_file {};
  struct stat named_file {};
  fstat(fd, &open_file);
  stat(path_.c_str(), &named_file);
  close(fd);
  EXPECT_EQ(open_file.st_ino, named_file.st_ino);
  EXPECT_EQ(contents(path_), "before, after");
}

TEST_F(OutputFileTest, KeepsTheModeOfTheOldFile) {
  write_file(path_, "old");
  fs::permissions(path_, fs::perms::owner_read | fs::perms::owner_write);
  write_file(path_, "new");
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(OutputFileTest, ReplacesWhatAKilledProcessLeft) {
  write_file(path_ + ".part", "half");
  write_file(path_, "whole");
  EXPECT_EQ(contents(path_), "whole");
  EXPECT_THAT(names(), ElementsAre("a"));
}

TEST_F(OutputFileTest, DoesNotWriteThroughALinkInItsPartsPlace) {
  write_file(directory_.file("other"), "of others");
  fs::create_symlink("other", path_ + ".part");
  EXPECT_EQ(refusal([&] { write_file(path_, "x"); }), "File exists");
  EXPECT_EQ(contents(directory_.file("other")), "of others");
}

TEST_F(OutputFileTest, AFailedWriteLeavesTheOldFile) {
  write_file(path_, "old");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{10, before.rlim_max};
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string why = refusal([&] { write_file(path_, std::string(100, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(why, "File too large");
  EXPECT_EQ(contents(path_), "old");
  EXPECT_THAT(names(), ElementsAre("a"));
}

TEST_F(OutputFileTest, IsOnTheDiskBeforeItsNameIsAndThenTheNameIs) {
  OutputFile file(path_);
  file.write("x");
  disk_calls.clear();
  file.commit();
  EXPECT_THAT(disk_calls, ElementsAre("fsync a.part", "rename a.part a",
                                      "fsync " + file_name(directory_.path())));
  disk_calls.clear();
  write_file("/dev/null", "x");
  EXPECT_THAT(disk_calls, ElementsAre()) << "what is written in place is not this file's to sync";
}

TEST_F(OutputFileTest, WhatCannotBeSyncedLeavesTheOldFile) {
  write_file(path_, "old");
  fsync_error = EIO;
  const std::string why = refusal([&] { write_file(path_, "new"); });
  fsync_error = 0;
  EXPECT_EQ(why, "Input/output error");
  EXPECT_EQ(contents(path_), "old");
  EXPECT_THAT(names(), ElementsAre("a"));
}

TEST_F(OutputFileTest, FileSystemsThatDoNotSyncAreNoFailure) {
  for (const int error : {EINVAL, ENOTSUP, ENOSYS, EROFS}) {
    fsync_error = error;
    EXPECT_NO_THROW(write_file(path_, std::to_string(error)));
    fsync_error = 0;
    EXPECT_EQ(contents(path_), std::to_string(error));
  }
}

TEST_F(OutputFileTest, DirectoriesThatCannotBeSyncedByUsAreNoFailure) {
  for (const int error : {EBADF, EACCES, EPERM}) {
    directory_error = error;
    EXPECT_NO_THROW(write_file(path_, std::to_string(error)));
    directory_error = 0;
    EXPECT_EQ(contents(path_), std::to_string(error));
  }
}

TEST_F(OutputFileTest, AFileWhoseDirectoryFailsIsSaidToBeWritten) {
  directory_error = EIO;
  try {
    write_file(path_, "x");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), path_ +
                                ": written, but a crash of this machine may lose it: its "
                                "directory cannot be synced: Input/output error");
  }
  directory_error = 0;
  EXPECT_EQ(contents(path_), "x");
}

TEST_F(OutputFileTest, AFailedRenameLeavesNoPart) {
  EXPECT_EQ(refusal([&] {
              OutputFile file(path_);
              file.write("x");
              fs::create_directory(path_);  // in its place meanwhile
              file.commit();
            }),
            "Is a directory");
  EXPECT_THAT(names(), ElementsAre("a"));
}

TEST_F(OutputFileTest, RefusesDirectories) {
  fs::create_directory(path_);
  EXPECT_EQ(refusal([&] { write_file(path_, "x"); }), "Is a directory");
}

TEST(WriteFile, NamesThePathAsItWasGiven) {
  try {
    write_file("/nonexistent/directory/a", "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "/nonexistent/directory/a: cannot be written: No such file or directory");
  }
}

}  // namespace
}  // namespace initrt
