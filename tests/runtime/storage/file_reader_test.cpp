#include "runtime/storage/file_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>

#include "tests/runtime/storage/temporary_file.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::error_of;
using testing::random_bytes;
using testing::TemporaryFile;

/// A staging block: aligned memory, filled with what no test expects.
class Block {
 public:
  explicit Block(std::size_t bytes)
      : bytes_(bytes),
        data_(static_cast<std::byte*>(std::aligned_alloc(kBlockAlignment, rounded(bytes)))) {
    std::fill_n(data_.get(), rounded(bytes), std::byte{0xee});
  }
  [[nodiscard]] std::span<std::byte> span() const { return {data_.get(), bytes_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  static std::size_t rounded(std::size_t bytes) {
    return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
  }
  std::size_t bytes_;
  std::unique_ptr<std::byte, Free> data_;
};

/// What one pread(2) does instead: `error`, or at most `bytes` bytes.
struct Fault {
  int error = 0;
  std::uint64_t bytes = ~0ull;
  bool end_of_file = false;
};

/// Reads that go where the test wants them and fail when it wants it.
class FaultyReader final : public FileReader {
 public:
  enum class Way : std::uint8_t { Direct, Buffered };

  FaultyReader(const TemporaryFile& file, std::uint64_t bytes, Way way)
      : FileReader(file.path(), bytes, statistics), way_(way) {}

  inline static ReadStatistics statistics;  // outlives every reader
  std::deque<Fault> faults;                 ///< one for each pread to come, from the front
  std::function<void()> before_read;
  bool went_direct = false, went_buffered = false;

 protected:
  ssize_t read_some(int fd, std::byte* to, std::uint64_t bytes, std::uint64_t offset) override {
    if (before_read) before_read();
    ((::fcntl(fd, F_GETFL) & O_DIRECT) != 0 ? went_direct : went_buffered) = true;
    if (faults.empty()) return FileReader::read_some(fd, to, bytes, offset);
    const Fault fault = faults.front();
    faults.pop_front();
    if (fault.end_of_file) return 0;
    if (fault.error != 0) {
      errno = fault.error;
      return -1;
    }
    const ssize_t got = FileReader::read_some(fd, to, bytes, offset);
    return got < 0 ? got : std::min(got, static_cast<ssize_t>(fault.bytes));
  }

  [[nodiscard]] bool cached(std::uint64_t, std::uint64_t) const override {
    return way_ == Way::Buffered;
  }

 private:
  Way way_;
};

using Way = FaultyReader::Way;

/// Whether the file system that tests write to does direct reads at all.
bool does_direct_reads(const TemporaryFile& file) {
  ReadStatistics statistics;
  return FileReader(file.path(), std::filesystem::file_size(file.path()), statistics)
             .padding_bytes() > 0;
}

/// Reads the range and checks every byte and the returned place.
void expect_range(FileReader& reader, const std::string& content, std::uint64_t offset,
                  std::uint64_t bytes) {
  const Block block(bytes + reader.padding_bytes());
  const std::span<const std::byte> got = reader.read(offset, bytes, block.span());
  ASSERT_EQ(got.size(), bytes);
  ASSERT_GE(got.data(), block.span().data());
  ASSERT_LE(got.data() + got.size(), block.span().data() + block.span().size());
  ASSERT_EQ(std::string_view(reinterpret_cast<const char*>(got.data()), bytes),
            std::string_view(content).substr(offset, bytes))
      << bytes << " bytes from " << offset;
}

class FileReaderBothWays : public ::testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Storage, FileReaderBothWays, ::testing::Values(Way::Direct, Way::Buffered),
                         [](const auto& way) {
                           return way.param == Way::Direct ? "Direct" : "Buffered";
                         });

TEST_P(FileReaderBothWays, RandomRangesHaveTheFilesBytes) {
  const std::string content = random_bytes(3 * 4096 * 17 + 1234, 1);
  const TemporaryFile file(content);
  FaultyReader reader(file, content.size(), GetParam());
  std::mt19937_64 rng(2);
  for (int round = 0; round < 500; ++round) {
    const std::uint64_t offset = rng() % (content.size() + 1);
    const std::uint64_t most = std::min<std::uint64_t>(content.size() - offset, 1 << rng() % 18);
    ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, offset, rng() % (most + 1)));
  }
  EXPECT_EQ(reader.went_direct, GetParam() == Way::Direct && does_direct_reads(file));
}

TEST_P(FileReaderBothWays, HeadsAndTailsThatAreNotAlignedAreRight) {
  for (const std::uint64_t size : {1u, 511u, 512u, 4095u, 4096u, 4097u, 12'288u, 12'289u}) {
    const std::string content = random_bytes(size, size);
    const TemporaryFile file(content);
    FaultyReader reader(file, content.size(), GetParam());
    for (const std::uint64_t begin : {0ull, 1ull, 511ull, 4095ull, 4096ull, 4097ull}) {
      for (const std::uint64_t back : {0ull, 1ull, 511ull, 4095ull, 4096ull}) {
        if (begin + back > size) continue;
        ASSERT_NO_FATAL_FAILURE(expect_range(reader, content, begin, size - back - begin));
      }
    }
  }
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

TEST(FileReader, RangesPastTheEndAndUnfitBlocksAreErrors) {
  const TemporaryFile file(random_bytes(10'000, 12));
  ReadStatistics statistics;
  FileReader reader(file.path(), 10'000, statistics);
  const Block block(20'000);
  for (const auto& [offset, bytes] :
       {std::pair{9000ull, 1001ull}, {10'001ull, 0ull}, {1ull, ~0ull}, {~0ull, 1ull}}) {
    EXPECT_NE(error_of([&] {
                (void)reader.read(offset, bytes, block.span());
              }).find("past the end of the file at byte 10000"),
              std::string::npos);
  }
  EXPECT_TRUE(reader.read(10'000, 0, block.span()).empty());
  const auto unfit = [&](std::span<std::byte> wrong) {
    EXPECT_NE(error_of([&] { (void)reader.read(0, 5000, wrong); }).find("does not suit a read"),
              std::string::npos);
  };
  unfit(block.span().first(5000 + reader.padding_bytes() - 1));
  unfit(block.span().subspan(8));
  unfit({});
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

TEST(FileReader, AnEmptyFileHasOneEmptyRange) {
  const TemporaryFile file("");
  ReadStatistics statistics;
  FileReader reader(file.path(), 0, statistics);
  const Block block(16'384);
  EXPECT_TRUE(reader.read(0, 0, block.span()).empty());
  EXPECT_EQ(reader.bytes(), 0u);
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

}  // namespace
}  // namespace initrt
