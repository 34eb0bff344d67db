// A writer of zip archives, with what torch.save's are like, and room for faults.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sharding/checkpoint/header_writers.h"

namespace initrt::testing {

inline constexpr std::string_view kZipLocal = "PK\x03\x04", kZipEntry = "PK\x01\x02",
                                  kZipEnd = "PK\x05\x06", kZip64End = "PK\x06\x06",
                                  kZip64Locator = "PK\x06\x07";

/// Writes over the bytes at `at` in the record `number` of those that begin with `signature`.
inline void patch(std::string& bytes, std::string_view signature, std::size_t at,
                  std::string_view with, int number = 0) {
  std::size_t found = bytes.find(signature);
  for (; number > 0; --number) found = bytes.find(signature, found + 1);
  if (found == std::string::npos) throw std::logic_error("no such record");
  bytes.replace(found + at, with.size(), with);
}

/// Members are stored, each one's data at a multiple of 64 bytes, sizes after it.
class ZipWriter {
 public:
  bool zip64 = false;   ///< with a zip64 end record, as torch.save always writes
  bool in_64 = false;   ///< sizes and offsets in zip64 fields, as for files past 4 GiB
  std::string comment;  ///< after the end record

  ZipWriter& member(const std::string& name, const std::string& data) {
    const std::size_t header = bytes_.size();
    const std::size_t before = header + 30 + name.size() + 4;
    const std::size_t padding = (64 - before % 64) % 64;
    bytes_ += std::string(kZipLocal) + fields(0, 0) + raw(size16(name)) +
              raw(static_cast<std::uint16_t>(4 + padding)) + name + "FB" +
              raw(static_cast<std::uint16_t>(padding)) + std::string(padding, 'Z');
    bytes_ += data + "PK\x07\x08" + raw(0u) + raw(size32(data)) + raw(size32(data));
    std::string extra;
    if (in_64) {
      extra = "XX" + raw<std::uint16_t>(1) + "x" + raw<std::uint16_t>(1) + raw<std::uint16_t>(24) +
              raw<std::uint64_t>(data.size()) + raw<std::uint64_t>(data.size()) +
              raw<std::uint64_t>(header);
    }
    const std::uint32_t stored = in_64 ? 0xffffffffu : size32(data);
    directory_ += std::string(kZipEntry) + raw<std::uint16_t>(0) + fields(stored, stored) +
                  raw(size16(name)) + raw(size16(extra)) + std::string(10, '\0') +
                  raw(in_64 ? 0xffffffffu : static_cast<std::uint32_t>(header)) + name + extra;
    ++entries_;
    return *this;
  }

  [[nodiscard]] std::string file() const {
    std::string end;
    if (zip64 || in_64) {
      const std::uint64_t at = bytes_.size() + directory_.size();
      end = std::string(kZip64End) + raw<std::uint64_t>(44) + std::string(12, '\0') +
            raw<std::uint64_t>(entries_) + raw<std::uint64_t>(entries_) +
            raw<std::uint64_t>(directory_.size()) + raw<std::uint64_t>(bytes_.size()) +
            std::string(kZip64Locator) + raw(0u) + raw(at) + raw(1u);
    }
    end += std::string(kZipEnd) + raw(0u) + raw(in_64 ? kAll16 : entries_) +
           raw(in_64 ? kAll16 : entries_) + raw(in_64 ? kAll32 : size32(directory_)) +
           raw(in_64 ? kAll32 : size32(bytes_)) + raw(size16(comment)) + comment;
    return bytes_ + directory_ + end;
  }

 private:
  static constexpr std::uint16_t kAll16 = 0xffff;
  static constexpr std::uint32_t kAll32 = 0xffffffff;

  static std::uint16_t size16(const std::string& text) {
    return static_cast<std::uint16_t>(text.size());
  }
  static std::uint32_t size32(const std::string& text) {
    return static_cast<std::uint32_t>(text.size());
  }
  /// What both headers have: version, flags, method, time, date, CRC, sizes.
  static std::string fields(std::uint32_t stored, std::uint32_t bytes) {
    return raw<std::uint16_t>(0) + raw<std::uint16_t>(8) + raw<std::uint16_t>(0) + raw(0u) +
           raw(0u) + raw(stored) + raw(bytes);
  }

  std::string bytes_, directory_;
  std::uint16_t entries_ = 0;
};

}  // namespace initrt::testing
