// Small reads anywhere in one part of a file, through one window: neighbours cost one read.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sharding/checkpoint/files.h"

namespace initrt {

/// The number at `at` in bytes that hold it, little-endian.
template <class T>
[[nodiscard]] T little_endian(std::span<const std::byte> bytes, std::size_t at) {
  static_assert(std::endian::native == std::endian::little, "files are read as little-endian");
  T value{};
  std::memcpy(&value, bytes.subspan(at, sizeof value).data(), sizeof value);
  return value;
}

/// Bytes [begin, end) of a file, all of which must exist. Offsets count from the file's start.
class WindowedReader {
 public:
  /// What is asked from Files at once where nothing else is said. An item of a distributed
  /// checkpoint has its pickle and its headers in about 1300 bytes, and there can be hundreds of
  /// thousands of them: more would be read, and sent to all ranks, for nothing.
  static constexpr std::uint64_t kSmallWindow = 2048;

  /// At least `window` bytes are asked from Files at once, where the range has them.
  WindowedReader(Files& files, std::string path, std::uint64_t begin, std::uint64_t end,
                 std::uint64_t window = kSmallWindow)
      : files_(files), path_(std::move(path)), begin_(begin), end_(end), least_(window) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t begin() const { return begin_; }
  [[nodiscard]] std::uint64_t end() const { return end_; }

  /// `bytes` bytes at `offset`, valid until the next call.
  /// @throws Error where they are not inside the range.
  std::span<const std::byte> view(std::uint64_t offset, std::uint64_t bytes);

 private:
  Files& files_;
  std::string path_;
  std::uint64_t begin_, end_, least_;
  std::uint64_t window_begin_ = 0;
  std::vector<std::byte> window_;
};

}  // namespace initrt
