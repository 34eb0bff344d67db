// The central directory of a zip archive whose members are stored as they are: where each one's
// bytes lie, so that they can be read in ranges. The archive is a file or a part of one (an item of
// a distributed checkpoint). Format: PKWARE's APPNOTE.TXT 6.3, sections 4.3 to 4.5.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sharding/checkpoint/torch/windowed_reader.h"

namespace initrt {

struct ZipEntry {
  std::string name;
  std::uint16_t flags = 0;     ///< general purpose bit flag
  std::uint64_t bytes = 0;     ///< of its data
  std::uint64_t header = 0;    ///< its local header, bytes from the start of the file
  std::uint64_t room_end = 0;  ///< where the next entry or the directory begins, likewise
};

/// Where a member's data lies, in bytes from the start of the file.
struct ZipRange {
  std::uint64_t begin = 0, end = 0;
};

class ZipDirectory {
 public:
  /// Reads the directory of the archive that the whole range of `reader` is: the range's last
  /// kilobyte, and what of the directory lies before that.
  /// @throws Error where it is not a zip archive, is split in several files, or has an entry that
  /// is encrypted, compressed, there twice, overlaps another one or leaves the archive.
  explicit ZipDirectory(WindowedReader& reader);
  ZipDirectory(const ZipDirectory&) = delete;
  ZipDirectory& operator=(const ZipDirectory&) = delete;

  [[nodiscard]] const std::vector<ZipEntry>& entries() const { return entries_; }

  /// The entry with this name, or nullptr.
  [[nodiscard]] const ZipEntry* find(std::string_view name) const;

  /// Where the data of one of the entries lies: its local header is read and compared.
  /// @throws Error where that header is not the entry's.
  [[nodiscard]] ZipRange member_range(const ZipEntry& entry);

 private:
  WindowedReader& reader_;
  std::vector<ZipEntry> entries_;                              // in the order of their headers
  std::unordered_map<std::string_view, std::size_t> by_name_;  // views into entries_
};

}  // namespace initrt
