#include "runtime/storage/file_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "runtime/storage/local_files.h"
#include "tests/runtime/storage/faulty_reader.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::Block;
using testing::does_direct_reads;
using testing::error_of;
using testing::expect_range;
using testing::Fault;
using testing::FaultyReader;
using testing::random_bytes;
using testing::TemporaryFile;
using Way = FaultyReader::Way;

class FileReaderBothWays : public ::testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Storage, FileReaderBothWays, ::testing::Values(Way::Direct, Way::Buffered),
                         [](const auto& way) {
                           return way.param == Way::Direct ? "Direct" : "Buffered";
                         });

TEST_P(FileReaderBothWays, GoesByWhatIsInThePageCache) {
  const std::string content = random_bytes(50'000, 1);
  const TemporaryFile file(content);
  FaultyReader reader(file, content.size(), GetParam());
  ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, 100, 40'000));
  EXPECT_EQ(reader.went_direct, GetParam() == Way::Direct && does_direct_reads(file));
}

TEST_P(FileReaderBothWays, ShortAndInterruptedReadsGoOn) {
  const std::string content = random_bytes(50'000, 3);
  const TemporaryFile file(content);
  std::mt19937_64 rng(4);
  for (int round = 0; round < 200; ++round) {
    FaultyReader reader(file, content.size(), GetParam());
    for (int i = 0; i < 6; ++i) {
      // Shortened to whole sectors at times, so that a direct read can go on as one.
      const std::uint64_t bytes = 1 + rng() % 3 * 4096 + (rng() % 2 == 0 ? 4095 : rng() % 4096);
      reader.faults.push_back(rng() % 3 == 0 ? Fault{.error = EINTR} : Fault{.bytes = bytes});
    }
    const std::uint64_t offset = rng() % 10'000;
    ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, offset, 30'000 + rng() % 10'000));
  }
}

TEST_P(FileReaderBothWays, AReadErrorNamesPathByteAndReason) {
  const std::string content = random_bytes(50'000, 5);
  const TemporaryFile file(content);
  FaultyReader reader(file, content.size(), GetParam());
  const Block block(30'000 + reader.padding_bytes());
  reader.faults = {Fault{.bytes = 4096}, Fault{.error = EIO}};
  EXPECT_EQ(error_of([&] { (void)reader.read(8192, 30'000, block.span()); }),
            file.path() + ": cannot read at byte 12288: Input/output error");
  // The next read starts afresh.
  ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, 8192, 30'000));
}

TEST_P(FileReaderBothWays, AFileThatEndsTooSoonIsTruncated) {
  const std::string content = random_bytes(50'000, 6);
  const TemporaryFile file(content);
  FaultyReader reader(file, content.size(), GetParam());
  const Block block(30'000 + reader.padding_bytes());
  reader.faults = {Fault{.bytes = 4096}, Fault{.end_of_file = true}};
  EXPECT_EQ(error_of([&] { (void)reader.read(8192, 30'000, block.span()); }),
            file.path() +
                ": truncated while it was read: it ends at byte 12288, byte 38192 was expected");
}

TEST_P(FileReaderBothWays, AFileThatShrinksUnderTheReaderIsTruncated) {
  const std::string content = random_bytes(50'000, 7);
  const TemporaryFile file(content);
  FaultyReader reader(file, content.size(), GetParam());
  reader.before_read = [&] { file.resize(10'000); };
  const Block block(40'000 + reader.padding_bytes());
  EXPECT_EQ(error_of([&] { (void)reader.read(5000, 40'000, block.span()); }),
            file.path() +
                ": truncated while it was read: it ends at byte 10000, byte 45000 was expected");
}

TEST_P(FileReaderBothWays, ReadingCountsWhatWasAskedForAndWhatWasRead) {
  const std::string content = random_bytes(50'000, 8);
  const TemporaryFile file(content);
  FaultyReader reader(file, content.size(), GetParam());
  const bool direct = GetParam() == Way::Direct && does_direct_reads(file);
  ReadStatistics& statistics = FaultyReader::statistics;
  statistics.requested_bytes = statistics.direct_bytes = statistics.buffered_bytes = 0;
  ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, 100, 200));
  EXPECT_EQ(statistics.requested_bytes, 200u);
  if (direct) {
    EXPECT_EQ(statistics.direct_bytes % 512, 0u);
    EXPECT_GE(statistics.direct_bytes, 512u);
    EXPECT_LE(statistics.direct_bytes, 4096u);
    EXPECT_EQ(statistics.buffered_bytes, 0u);
  } else {
    EXPECT_EQ(statistics.buffered_bytes, 200u);
    EXPECT_EQ(statistics.direct_bytes, 0u);
  }
}

TEST(FileReader, FallsBackWhereDirectReadsTurnOutNotToWork) {
  const std::string content = random_bytes(50'000, 9);
  const TemporaryFile file(content);
  if (!does_direct_reads(file)) GTEST_SKIP() << "no direct reads on this file system";
  for (const int error : {EINVAL, EOPNOTSUPP, EFAULT}) {
    FaultyReader reader(file, content.size(), Way::Direct);
    reader.faults = {Fault{.error = error}};
    ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, 5000, 20'000));
    EXPECT_TRUE(reader.went_direct);
    EXPECT_TRUE(reader.went_buffered);
    reader.went_direct = false;
    ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, 5000, 20'000));
    EXPECT_FALSE(reader.went_direct) << "and does not try again";
  }
}

TEST(FileReader, AShortDirectReadAtAnOddByteEndsThroughTheCache) {
  const std::string content = random_bytes(50'000, 10);
  const TemporaryFile file(content);
  if (!does_direct_reads(file)) GTEST_SKIP() << "no direct reads on this file system";
  FaultyReader reader(file, content.size(), Way::Direct);
  reader.faults = {Fault{.bytes = 1001}};  // short of the range's own first byte
  ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, 2000, 20'000));
  EXPECT_TRUE(reader.went_buffered);
}

TEST(FileReader, ByItselfItReadsWhatIsInTheCacheAndWhatIsNot) {
  const std::string content = random_bytes(1 << 20, 11);
  const TemporaryFile file(content);
  ReadStatistics statistics;
  FileReader reader(file.path(), content.size(), statistics);
  ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, 12'345, 700'001));  // written just now
  const int fd = ::open(file.path().c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(::fsync(fd), 0);
  EXPECT_EQ(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  ::close(fd);
  ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, 12'345, 700'001));
  EXPECT_EQ(statistics.requested_bytes, 2 * 700'001u);
  EXPECT_GE(statistics.read_bytes(), 2 * 700'001u);
}

TEST(FileReader, AFileOfAnotherSizeThanItsHeaderSaidIsAnError) {
  const TemporaryFile file(random_bytes(1000, 13));
  ReadStatistics statistics;
  EXPECT_EQ(error_of([&] { FileReader(file.path(), 999, statistics); }),
            file.path() + ": changed since its header was read: 999 bytes then, 1000 now");
}

TEST(FileReader, WhatIsNoRegularFileIsAnErrorAtOnce) {
  ReadStatistics statistics;
  const auto error_at = [&](const std::string& path) {
    return error_of([&] { FileReader(path, 0, statistics); });
  };
  const std::string path = TemporaryFile::fresh_path();
  EXPECT_EQ(error_at(path), path + ": cannot open: No such file or directory");
  // Opening a FIFO that nobody writes to would wait for ever.
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(error_at(path), path + ": not a regular file");
  std::remove(path.c_str());
  EXPECT_EQ(error_at(::testing::TempDir()),
            ::testing::TempDir() + ": a directory, expected a file");
  EXPECT_EQ(error_at("/dev/null"), "/dev/null: not a regular file");
}

TEST(FileReader, LendsTheFileToDevicesWhereDirectReadsAreBest) {
  const std::string content = random_bytes(3 * 4096 + 5, 7);
  const TemporaryFile file(content);
  FaultyReader direct(file, content.size(), Way::Direct);
  const FaultyReader buffered(file, content.size(), Way::Buffered);
  EXPECT_EQ(buffered.direct_file(0, 100), -1);
  if (!does_direct_reads(file)) GTEST_SKIP() << "this file system does no direct reads";
  const int descriptor = direct.direct_file(0, 100);
  ASSERT_GE(descriptor, 0);
  EXPECT_NE(::fcntl(descriptor, F_GETFL) & O_DIRECT, 0);
  direct.faults = {{.error = EINVAL}};
  expect_range(direct, content, 0, 100);
  EXPECT_EQ(direct.direct_file(0, 100), -1) << "the file system turned out not to do them";
}

TEST(FileReader, CountsWhatDevicesReadAmongDirectReads) {
  const std::string content = random_bytes(4096, 8);
  const TemporaryFile file(content);
  ReadStatistics statistics;
  FileReader reader(file.path(), content.size(), statistics);
  reader.count_direct(100, 4096, 512);
  EXPECT_EQ(statistics.requested_bytes, 100u);
  EXPECT_EQ(statistics.device_bytes, 4096u);
  EXPECT_EQ(statistics.direct_bytes, 4608u);
  EXPECT_EQ(statistics.read_bytes(), 4608u);
}

TEST(FileReader, NoticesAFileOfTheSameSizeThatIsAnother) {
  const TemporaryFile file(random_bytes(1000, 1));
  LocalFiles files;
  const FileStamp stamp = files.stat(file.path())->stamp;
  ReadStatistics statistics;
  EXPECT_NO_THROW(FileReader(file.path(), 1000, statistics, stamp));

  const std::string other = file.path() + ".other";
  std::ofstream(other) << random_bytes(1000, 2);
  std::filesystem::last_write_time(other, std::filesystem::last_write_time(file.path()));
  std::filesystem::rename(other, file.path());
  EXPECT_EQ(error_of([&] { FileReader(file.path(), 1000, statistics, stamp); }),
            file.path() +
                ": replaced by another file since its header was read, though its size "
                "is the same");
  EXPECT_EQ(files.stat(file.path())->stamp, stamp) << "what was there when it was looked at first";

  FileStamp elsewhere = stamp;
  elsewhere.system += 2;  // a copy on another node may have other numbers
  EXPECT_NO_THROW(FileReader(file.path(), 1000, statistics, elsewhere));
}

TEST(FileReader, NoticesAFileThatIsWrittenInPlace) {
  const std::string content = random_bytes(1000, 1);
  const TemporaryFile file(content);
  const auto touch = [&] {
    const auto time = std::filesystem::last_write_time(file.path());
    std::fstream(file.path(), std::ios::in | std::ios::out) << "x";
    std::filesystem::last_write_time(file.path(), time + std::chrono::seconds(1));
  };
  const FileStamp stamp = LocalFiles().stat(file.path())->stamp;
  ReadStatistics statistics;
  FileReader reader(file.path(), 1000, statistics, stamp);
  const Block block(1000 + reader.padding_bytes());
  EXPECT_EQ(reader.read(0, 1000, block.span()).size(), 1000u);
  touch();
  EXPECT_EQ(error_of([&] { (void)reader.read(0, 1000, block.span()); }),
            file.path() + ": written while it was read");
  EXPECT_EQ(error_of([&] { FileReader(file.path(), 1000, statistics, stamp); }),
            file.path() + ": written since its header was read, though its size is the same");
}

}  // namespace
}  // namespace initrt
