#include "sharding/checkpoint/torch/zip_directory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kLocalHeader = 0x04034b50, kEntryHeader = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50, kZip64End = 0x06064b50, kZip64Locator = 0x07064b50;
constexpr std::uint64_t kLocalHeaderBytes = 30, kEntryHeaderBytes = 46;
constexpr std::uint64_t kEndBytes = 22, kZip64EndBytes = 56, kZip64LocatorBytes = 20;
constexpr std::uint64_t kMaxComment = 65535;
constexpr std::uint64_t kTail = 1024;  // holds the whole directory of an archive of one tensor
constexpr std::uint64_t kMaxDirectory = 256ull << 20;
constexpr std::uint32_t kIn64 = 0xffffffff;  // "see the zip64 record"
constexpr std::uint16_t kIn64Short = 0xffff;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint16_t kEncrypted = 1 | 1 << 6 | 1 << 13, kSizesFollow = 1 << 3;

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Where the directory lies (offsets from the start of the file) and how many entries it has.
struct DirectoryPlace {
  std::uint64_t begin = 0, end = 0, entries = 0;
};

class DirectoryReader {
 public:
  explicit DirectoryReader(WindowedReader& reader) : reader_(reader), path_(reader.path()) {}

  std::vector<ZipEntry> read() {
    const DirectoryPlace place = find_directory();
    const std::uint64_t bytes = place.end - place.begin;
    if (bytes > kMaxDirectory) {
      fail("{}: a zip directory of {} bytes, more than the {} that are read", path_, bytes,
           kMaxDirectory);
    }
    if (place.entries > bytes / kEntryHeaderBytes) {
      fail("{}: {} zip entries cannot fit in a directory of {} bytes at byte {}", path_,
           place.entries, bytes, place.begin);
    }
    Bytes left = reader_.view(place.begin, bytes);
    std::vector<ZipEntry> entries;
    for (std::uint64_t i = 0; i < place.entries; ++i) {
      entries.push_back(read_entry(left, place.end - left.size()));
    }
    if (!left.empty()) {
      fail("{}: {} bytes follow the last of {} zip entries at byte {}", path_, left.size(),
           place.entries, place.end - left.size());
    }
    place_entries(entries, place.begin);
    return entries;
  }

 private:
  /// The last record that says how long its comment is, and is right.
  std::uint64_t find_end() {
    const std::uint64_t size = reader_.end() - reader_.begin();
    for (const std::uint64_t most : {kTail, kEndBytes + kMaxComment}) {
      const std::uint64_t bytes = std::min(size, most);
      const Bytes tail = reader_.view(reader_.end() - bytes, bytes);
      for (std::uint64_t after = kEndBytes; after <= bytes; ++after) {
        const Bytes record = tail.last(after);
        if (little_endian<std::uint32_t>(record, 0) == kEnd &&
            little_endian<std::uint16_t>(record, 20) == after - kEndBytes) {
          return reader_.end() - after;
        }
      }
    }
    fail("{}: no zip directory before byte {}: not a zip archive, or a truncated one", path_,
         reader_.end());
  }

  DirectoryPlace find_directory() {
    const std::uint64_t end = find_end();
    const Bytes record = reader_.view(end, kEndBytes);
    const auto disk = little_endian<std::uint16_t>(record, 4);
    const auto first_disk = little_endian<std::uint16_t>(record, 6);
    const auto entries_here = little_endian<std::uint16_t>(record, 8);
    const auto entries = little_endian<std::uint16_t>(record, 10);
    const auto bytes = little_endian<std::uint32_t>(record, 12);
    const auto offset = little_endian<std::uint32_t>(record, 16);
    if (const std::optional<std::uint64_t> locator = zip64_locator(end)) {
      return read_zip64_end(*locator, entries, bytes, offset);
    }
    if (disk != 0 || first_disk != 0 || entries_here != entries) several_files(end);
    return checked_place(offset, bytes, entries, end);
  }

  std::optional<std::uint64_t> zip64_locator(std::uint64_t end) {
    if (end - reader_.begin() < kZip64LocatorBytes) return std::nullopt;
    const std::uint64_t locator = end - kZip64LocatorBytes;
    if (little_endian<std::uint32_t>(reader_.view(locator, 4), 0) != kZip64Locator) {
      return std::nullopt;
    }
    return locator;
  }

  /// What the old record says must agree with the new one, or refer to it.
  DirectoryPlace read_zip64_end(std::uint64_t locator, std::uint16_t entries, std::uint32_t bytes,
                                std::uint32_t offset) {
    const Bytes where = reader_.view(locator, kZip64LocatorBytes);
    const auto disk = little_endian<std::uint32_t>(where, 4);
    const auto from_begin = little_endian<std::uint64_t>(where, 8);
    if (disk != 0 || little_endian<std::uint32_t>(where, 16) > 1) several_files(locator);
    if (from_begin > locator - reader_.begin() ||
        locator - reader_.begin() - from_begin < kZip64EndBytes) {
      fail("{}: byte {}: the zip64 end record at {} does not lie before it", path_, locator,
           from_begin);
    }
    const std::uint64_t at = reader_.begin() + from_begin;
    const Bytes record = reader_.view(at, kZip64EndBytes);
    if (little_endian<std::uint32_t>(record, 0) != kZip64End ||
        little_endian<std::uint64_t>(record, 4) != locator - at - 12) {
      fail("{}: byte {} does not hold the zip64 end record that byte {} says", path_, at, locator);
    }
    const auto entries64 = little_endian<std::uint64_t>(record, 32);
    const auto bytes64 = little_endian<std::uint64_t>(record, 40);
    const auto offset64 = little_endian<std::uint64_t>(record, 48);
    if (little_endian<std::uint32_t>(record, 16) != 0 ||
        little_endian<std::uint32_t>(record, 20) != 0 ||
        little_endian<std::uint64_t>(record, 24) != entries64) {
      several_files(at);
    }
    if ((entries != kIn64Short && entries != entries64) || (bytes != kIn64 && bytes != bytes64) ||
        (offset != kIn64 && offset != offset64)) {
      fail("{}: byte {}: the zip64 end record and the one after it disagree", path_, at);
    }
    return checked_place(offset64, bytes64, entries64, at);
  }

  /// The directory must end where the record that describes it begins.
  [[nodiscard]] DirectoryPlace checked_place(std::uint64_t offset, std::uint64_t bytes,
                                             std::uint64_t entries, std::uint64_t record) const {
    const std::uint64_t room = record - reader_.begin();
    if (offset > room || bytes != room - offset) {
      fail("{}: a zip directory of {} bytes at {} does not end at byte {}, where its end record is",
           path_, bytes, offset, record);
    }
    return {reader_.begin() + offset, record, entries};
  }

  [[noreturn]] void several_files(std::uint64_t byte) const {
    fail("{}: byte {}: a zip archive split in several files, which is not supported", path_, byte);
  }

  /// Takes one entry off the front of `left`, which is at `byte`.
  ZipEntry read_entry(Bytes& left, std::uint64_t byte) const {
    if (left.size() < kEntryHeaderBytes || little_endian<std::uint32_t>(left, 0) != kEntryHeader) {
      fail("{}: byte {} does not hold a zip entry, as the directory's count says", path_, byte);
    }
    const std::uint64_t name = little_endian<std::uint16_t>(left, 28);
    const std::uint64_t extra = little_endian<std::uint16_t>(left, 30);
    const std::uint64_t comment = little_endian<std::uint16_t>(left, 32);
    if (name + extra + comment > left.size() - kEntryHeaderBytes) {
      fail("{}: the zip entry at byte {} leaves the directory", path_, byte);
    }
    ZipEntry entry;
    entry.name = text_of(left.subspan(kEntryHeaderBytes, name));
    entry.flags = little_endian<std::uint16_t>(left, 8);
    const auto method = little_endian<std::uint16_t>(left, 10);
    const std::string who = fmt::format("{}: zip member {}", path_, quote(entry.name));
    if ((entry.flags & kEncrypted) != 0) fail("{} is encrypted, which is not supported", who);
    if (method != 0) {
      fail("{} is stored compressed, cannot be read in ranges; save it again with torch.save", who);
    }
    std::uint64_t stored = little_endian<std::uint32_t>(left, 20);
    std::uint64_t disk = little_endian<std::uint16_t>(left, 34);
    entry.bytes = little_endian<std::uint32_t>(left, 24);
    entry.header = little_endian<std::uint32_t>(left, 42);
    const Bytes in_64 = zip64_extra(left.subspan(kEntryHeaderBytes + name, extra), who);
    std::size_t at = 0;
    take_64(entry.bytes, kIn64, in_64, at, who);
    take_64(stored, kIn64, in_64, at, who);
    take_64(entry.header, kIn64, in_64, at, who);
    if (disk == kIn64Short && in_64.size() - at >= 4)
      disk = little_endian<std::uint32_t>(in_64, at);
    if (disk != 0) several_files(byte);
    if (stored != entry.bytes) {
      fail("{} has {} bytes, but {} are stored", who, entry.bytes, stored);
    }
    left = left.subspan(kEntryHeaderBytes + name + extra + comment);
    return entry;
  }

  /// The zip64 field among an entry's extra fields, or nothing.
  static Bytes zip64_extra(Bytes extra, const std::string& who) {
    while (extra.size() >= 4) {
      const auto id = little_endian<std::uint16_t>(extra, 0);
      const std::size_t bytes = little_endian<std::uint16_t>(extra, 2);
      if (bytes > extra.size() - 4) fail("{}: an extra field leaves its entry", who);
      if (id == kZip64Extra) return extra.subspan(4, bytes);
      extra = extra.subspan(4 + bytes);
    }
    return {};
  }

  /// Where `value` refers to the zip64 field, takes it from there.
  static void take_64(std::uint64_t& value, std::uint64_t refers, Bytes in_64, std::size_t& at,
                      const std::string& who) {
    if (value != refers) return;
    if (in_64.size() - at < 8) fail("{}: its size or offset is missing in the zip64 field", who);
    value = little_endian<std::uint64_t>(in_64, at);
    at += 8;
  }

  /// Makes headers absolute, sorts by them, and gives each entry the room up to the next one.
  void place_entries(std::vector<ZipEntry>& entries, std::uint64_t directory) const {
    const std::uint64_t room = directory - reader_.begin();
    for (ZipEntry& entry : entries) {
      if (entry.header > room) {
        fail("{}: zip member {}: its header at {} is not before the directory at {}", path_,
             quote(entry.name), entry.header, room);
      }
      entry.header += reader_.begin();
    }
    std::sort(entries.begin(), entries.end(),
              [](const ZipEntry& a, const ZipEntry& b) { return a.header < b.header; });
    for (std::size_t i = 0; i < entries.size(); ++i) {
      ZipEntry& entry = entries[i];
      entry.room_end = i + 1 < entries.size() ? entries[i + 1].header : directory;
      const std::uint64_t has = entry.room_end - entry.header;
      const std::uint64_t least = kLocalHeaderBytes + entry.name.size();
      if (has < least || entry.bytes > has - least) {
        fail("{}: zip member {}: its {} bytes from byte {} on overlap what is at byte {}", path_,
             quote(entry.name), entry.bytes, entry.header, entry.room_end);
      }
    }
  }

  WindowedReader& reader_;
  const std::string& path_;
};

}  // namespace

ZipDirectory::ZipDirectory(WindowedReader& reader)
    : reader_(reader), entries_(DirectoryReader(reader).read()) {
  by_name_.reserve(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!by_name_.emplace(entries_[i].name, i).second) {
      fail("{}: zip member {} appears twice", reader.path(), quote(entries_[i].name));
    }
  }
}

const ZipEntry* ZipDirectory::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

ZipRange ZipDirectory::member_range(const ZipEntry& entry) {
  const std::string who = fmt::format("{}: zip member {}", reader_.path(), quote(entry.name));
  const std::uint64_t known = kLocalHeaderBytes + entry.name.size();
  const Bytes header = reader_.view(entry.header, known);
  const bool same = little_endian<std::uint32_t>(header, 0) == kLocalHeader &&
                    little_endian<std::uint16_t>(header, 26) == entry.name.size() &&
                    text_of(header.subspan(kLocalHeaderBytes)) == entry.name;
  if (!same) fail("{}: byte {} does not hold its header", who, entry.header);
  const auto flags = little_endian<std::uint16_t>(header, 6);
  const auto method = little_endian<std::uint16_t>(header, 8);
  if (flags != entry.flags || method != 0) {
    fail("{}: its header at byte {} is not what the directory says", who, entry.header);
  }
  for (const std::size_t at : {18, 22}) {
    const auto bytes = little_endian<std::uint32_t>(header, at);
    if ((flags & kSizesFollow) == 0 && bytes != kIn64 && bytes != entry.bytes) {
      fail("{}: {} bytes in its header at byte {}, but {} in the directory", who, bytes,
           entry.header, entry.bytes);
    }
  }
  const std::uint64_t begin = entry.header + known + little_endian<std::uint16_t>(header, 28);
  if (begin > entry.room_end || entry.bytes > entry.room_end - begin) {
    fail("{}: its {} bytes at byte {} overlap what is at byte {}", who, entry.bytes, begin,
         entry.room_end);
  }
  return {begin, begin + entry.bytes};
}

}  // namespace initrt
