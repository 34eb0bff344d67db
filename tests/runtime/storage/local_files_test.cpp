#include "runtime/storage/local_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include <filesystem>

#include "sharding/error.h"
#include "tests/runtime/storage/temporary_file.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::TemporaryFile;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(LocalFiles, StatTellsFilesDirectoriesAndOthersApart) {
  LocalFiles files;
  const TemporaryFile file("12345");
  EXPECT_EQ(files.stat(file.path())->kind, FileInfo::Kind::Regular);
  EXPECT_EQ(files.stat(file.path())->bytes, 5u);
  EXPECT_EQ(files.stat(::testing::TempDir())->kind, FileInfo::Kind::Directory);
  EXPECT_EQ(files.stat("/dev/null")->kind, FileInfo::Kind::Other);
  EXPECT_FALSE(files.stat(TemporaryFile::fresh_path()));
  EXPECT_FALSE(files.stat(file.path() + "/below"));
}

TEST(LocalFiles, LinksAreFollowedAndLoopsAreErrors) {
  LocalFiles files;
  const TemporaryFile file("12345");
  const std::string link = TemporaryFile::fresh_path();
  std::filesystem::create_symlink(file.path(), link);
  EXPECT_EQ(files.stat(link)->bytes, 5u);
  EXPECT_EQ(text_of(files.read(link, 1, 3)), "234");
  std::filesystem::remove(link);
  std::filesystem::create_symlink(link, link);
  EXPECT_TRUE(error_of([&] { (void)files.stat(link); }).starts_with(link + ": cannot stat: "));
  std::filesystem::remove(link);
}

TEST(LocalFiles, ListIsSortedNames) {
  LocalFiles files;
  const std::string directory = TemporaryFile::fresh_path();
  std::filesystem::create_directory(directory);
  for (const char* name : {"b", "a.json", "c"}) std::ofstream(directory + "/" + name) << name;
  EXPECT_EQ(files.list(directory), (std::vector<std::string>{"a.json", "b", "c"}));
  std::filesystem::remove_all(directory);
  EXPECT_EQ(error_of([&] { (void)files.list(directory); }),
            directory + ": cannot list: No such file or directory");
}

// A pipe with a text in it, and no writer left.
int pipe_with(const std::string& text) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  EXPECT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(ends[1]);
  return ends[0];
}

TEST(LocalFiles, AStreamIsReadToItsEnd) {
  LocalFiles files;
  const int end = pipe_with("from a pipe");
  const std::string path = "/dev/fd/" + std::to_string(end);
  EXPECT_TRUE(is_stream(files, path));
  EXPECT_EQ(files.read_input(path), "from a pipe");
  close(end);
  const TemporaryFile file("from a file");
  EXPECT_FALSE(is_stream(files, file.path()));
  EXPECT_EQ(files.read_input(file.path()), "from a file");
  EXPECT_EQ(files.read_input("/dev/null"), "");
  EXPECT_EQ(error_of([&] { (void)files.read_input("/dev/zero", 1000); }),
            "/dev/zero: more than the 1000 bytes that such a text may have");
  EXPECT_EQ(error_of([&] { (void)files.read_input("/"); }), "/: a directory, expected a file");
}

TEST(LocalFiles, StandardInputIsReadOnce) {
  const int before = dup(STDIN_FILENO);
  const int end = pipe_with("typed");
  dup2(end, STDIN_FILENO);
  close(end);
  LocalFiles files;
  EXPECT_EQ(files.read_input("-"), "typed");
  EXPECT_EQ(error_of([&] { (void)files.read_input("/dev/stdin"); }),
            "/dev/stdin: standard input is named twice, and can be read once");
  dup2(before, STDIN_FILENO);
  close(before);
}

TEST(LocalFiles, SaysThatItWaitsForWhoeverWrites) {
  const int before = dup(STDIN_FILENO);
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  int waits = 0;
  LocalFiles files([&] {
    switch (++waits) {
      case 1:
        EXPECT_EQ(write(ends[1], "typed ", 6), 6);
        break;
      case 2:
        EXPECT_EQ(write(ends[1], "slowly", 6), 6);
        break;
      default:
        close(ends[1]);
    }
  });
  EXPECT_EQ(files.read_input("-"), "typed slowly");
  EXPECT_EQ(waits, 3);
  dup2(before, STDIN_FILENO);
  close(before);
}

TEST(LocalFiles, WaitsForAFifosWriter) {
  const std::string fifo = TemporaryFile::fresh_path();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  int waits = 0;
  LocalFiles files([&] {
    if (++waits < 2) return;
    const int end = open(fifo.c_str(), O_WRONLY);
    EXPECT_EQ(write(end, "late", 4), 4);
    close(end);
  });
  EXPECT_EQ(files.read_input(fifo), "late");
  EXPECT_EQ(waits, 2);
  std::filesystem::remove(fifo);
}

TEST(LocalFiles, AWaitThatFailsEndsTheRead) {
  const std::string fifo = TemporaryFile::fresh_path();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  LocalFiles files([] { fail("another rank has failed"); });
  EXPECT_EQ(error_of([&] { (void)files.read_input(fifo); }), "another rank has failed");
  std::filesystem::remove(fifo);
}

TEST(LocalFiles, ReadIsTheRangeOrAnError) {
  LocalFiles files;
  const TemporaryFile file("0123456789");
  EXPECT_EQ(text_of(files.read(file.path(), 0, 10)), "0123456789");
  EXPECT_EQ(text_of(files.read(file.path(), 10, 0)), "");
  EXPECT_EQ(files.read_text(file.path()), "0123456789");
  EXPECT_EQ(error_of([&] { (void)files.read(file.path(), 8, 3); }),
            file.path() + ": truncated: 3 bytes from byte 8 are needed, but the file has 10");
  // Refused before so much is allocated.
  EXPECT_NE(error_of([&] { (void)files.read(file.path(), 1, ~0ull); }).find("truncated"),
            std::string::npos);
  EXPECT_EQ(error_of([&] { (void)files.read_text(file.path(), 9); }),
            file.path() + ": 10 bytes, more than the 9 that such a file may have");
}

TEST(LocalFiles, ReadingWhatIsNoFileIsAnErrorAtOnce) {
  LocalFiles files;
  const std::string fifo = TemporaryFile::fresh_path();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { (void)files.read(fifo, 0, 1); }), fifo + ": not a regular file");
  EXPECT_EQ(error_of([&] { (void)files.read_text(fifo); }), fifo + ": not a regular file");
  std::filesystem::remove(fifo);
  EXPECT_EQ(error_of([&] { (void)files.read(::testing::TempDir(), 0, 1); }),
            ::testing::TempDir() + ": a directory, expected a file");
}

}  // namespace
}  // namespace initrt
