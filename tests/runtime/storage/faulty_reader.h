// Reading files in tests: blocks to read into, and a reader whose reads go where a test wants them
// and fail when it wants it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "runtime/storage/file_reader.h"
#include "tests/runtime/storage/temporary_file.h"

namespace initrt::testing {

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
  std::atomic<bool> went_direct{false}, went_buffered{false};

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

/// Whether the file system that tests write to does direct reads at all.
inline bool does_direct_reads(const TemporaryFile& file) {
  ReadStatistics statistics;
  return FileReader(file.path(), std::filesystem::file_size(file.path()), statistics)
             .padding_bytes() > 0;
}

/// Reads the range and checks every byte and the returned place.
inline void expect_range(RangeReader& reader, const std::string& content, std::uint64_t offset,
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

}  // namespace initrt::testing
