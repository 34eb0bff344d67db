// What every reader of byte ranges must do, over each that there is.
#include "runtime/storage/range_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "tests/runtime/storage/faulty_reader.h"
#include "tests/sharding/errors.h"

namespace initrt {
namespace {

using testing::Block;
using testing::error_of;
using testing::expect_range;
using testing::FaultyReader;
using testing::random_bytes;
using testing::TemporaryFile;

struct Kind {
  const char* name;
  std::unique_ptr<RangeReader> (*open)(const TemporaryFile& file, std::uint64_t bytes);
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

template <FaultyReader::Way way>
std::unique_ptr<RangeReader> open_one_way(const TemporaryFile& file, std::uint64_t bytes) {
  return std::make_unique<FaultyReader>(file, bytes, way);
}
std::unique_ptr<RangeReader> open_file(const TemporaryFile& file, std::uint64_t bytes) {
  return std::make_unique<FileReader>(file.path(), bytes, FaultyReader::statistics);
}

class RangeReaders : public ::testing::TestWithParam<Kind> {
 protected:
  static std::unique_ptr<RangeReader> open(const TemporaryFile& file) {
    return GetParam().open(file, std::filesystem::file_size(file.path()));
  }
};
INSTANTIATE_TEST_SUITE_P(
    , RangeReaders,
    ::testing::Values(Kind{"File", open_file},
                      Kind{"DirectFile", open_one_way<FaultyReader::Way::Direct>},
                      Kind{"BufferedFile", open_one_way<FaultyReader::Way::Buffered>}),
    [](const auto& kind) { return std::string(kind.param.name); });

TEST_P(RangeReaders, KnowPathAndSize) {
  const TemporaryFile file(random_bytes(4097, 1));
  const auto reader = open(file);
  EXPECT_EQ(reader->path(), file.path());
  EXPECT_EQ(reader->bytes(), 4097u);
}

TEST_P(RangeReaders, ReadToAnyPlaceWhatIsBetterReadSo) {
  const std::string content = random_bytes(3 * 4096 * 17 + 1234, 2);
  const TemporaryFile file(content);
  const auto reader = open(file);
  if (!reader->reads_to(0, content.size())) {
    EXPECT_STREQ(GetParam().name, "DirectFile");
    return;
  }
  std::string got(content.size() + 2, 'x');
  const auto to = reinterpret_cast<std::byte*>(got.data());
  reader->read_to(1, content.size() - 1, to + 1);
  EXPECT_EQ(got, "x" + content.substr(1) + "xx");
  EXPECT_NE(error_of([&] { reader->read_to(1, content.size(), to); }).find("past the end"),
            std::string::npos);
  EXPECT_NE(error_of([&] { reader->read_to(content.size() + 1, 0, to); }).find("past the end"),
            std::string::npos);
}

TEST_P(RangeReaders, RandomRangesHaveTheFilesBytes) {
  const std::string content = random_bytes(3 * 4096 * 17 + 1234, 1);
  const TemporaryFile file(content);
  const auto reader = open(file);
  std::mt19937_64 rng(2);
  for (int round = 0; round < 500; ++round) {
    const std::uint64_t offset = rng() % (content.size() + 1);
    const std::uint64_t most = std::min<std::uint64_t>(content.size() - offset, 1 << rng() % 18);
    ASSERT_NO_FATAL_FAILURE(expect_range(*reader, content, offset, rng() % (most + 1)));
  }
}

TEST_P(RangeReaders, HeadsAndTailsThatAreNotAlignedAreRight) {
  for (const std::uint64_t size : {1u, 511u, 512u, 4095u, 4096u, 4097u, 12'288u, 12'289u}) {
    const std::string content = random_bytes(size, size);
    const TemporaryFile file(content);
    const auto reader = open(file);
    for (const std::uint64_t begin : {0ull, 1ull, 511ull, 4095ull, 4096ull, 4097ull}) {
      for (const std::uint64_t back : {0ull, 1ull, 511ull, 4095ull, 4096ull}) {
        if (begin + back > size) continue;
        ASSERT_NO_FATAL_FAILURE(expect_range(*reader, content, begin, size - back - begin));
      }
    }
  }
}

TEST_P(RangeReaders, SeveralThreadsMayRead) {
  const std::string content = random_bytes(1 << 20, 3);
  const TemporaryFile file(content);
  const auto reader = open(file);
  std::vector<std::thread> threads;
  for (std::uint32_t number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      std::mt19937_64 rng(number);
      for (int round = 0; round < 20; ++round) {
        const std::uint64_t offset = rng() % (content.size() - 70'000);
        ASSERT_NO_FATAL_FAILURE(expect_range(*reader, content, offset, rng() % 70'000));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(RangeReaders, ARangeThatTheFileHasLostIsAnErrorWithPathAndByte) {
  const std::string content = random_bytes(50'000, 4);
  const TemporaryFile file(content);
  const auto reader = open(file);
  const Block block(40'000 + reader->padding_bytes());
  file.resize(10'000);
  EXPECT_THAT(error_of([&] { (void)reader->read(5000, 40'000, block.span()); }),
              ::testing::AllOf(::testing::StartsWith(file.path() + ": "),
                               ::testing::HasSubstr("it ends at byte 10000")));
}

TEST_P(RangeReaders, RangesPastTheEndAndUnfitBlocksAreErrors) {
  const TemporaryFile file(random_bytes(10'000, 12));
  const auto reader = open(file);
  const Block block(20'000);
  for (const auto& [offset, bytes] :
       {std::pair{9000ull, 1001ull}, {10'001ull, 0ull}, {1ull, ~0ull}, {~0ull, 1ull}}) {
    EXPECT_NE(error_of([&] {
                (void)reader->read(offset, bytes, block.span());
              }).find("past the end of the file at byte 10000"),
              std::string::npos);
  }
  EXPECT_TRUE(reader->read(10'000, 0, block.span()).empty());
  const auto unfit = [&](std::span<std::byte> wrong) {
    EXPECT_NE(error_of([&] { (void)reader->read(0, 5000, wrong); }).find("does not suit a read"),
              std::string::npos);
  };
  unfit(block.span().first(5000 + reader->padding_bytes() - 1));
  unfit(block.span().subspan(8));
  unfit({});
}

TEST_P(RangeReaders, AnEmptyFileHasOneEmptyRange) {
  const TemporaryFile file("");
  const auto reader = open(file);
  const Block block(16'384);
  EXPECT_TRUE(reader->read(0, 0, block.span()).empty());
  EXPECT_EQ(reader->bytes(), 0u);
}

}  // namespace
}  // namespace initrt
