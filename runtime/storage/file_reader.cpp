#include "runtime/storage/file_reader.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "sharding/error.h"

namespace initrt {
namespace {

/// The alignment that direct reads need where the file system does not say: a page.
constexpr std::uint64_t kUsualAlignment = 4096;

/// Alignment of offsets for direct reads, or 0 where the file system says there are none, or needs
/// more than a staging block's alignment of memory or than its padding of offsets.
std::uint64_t direct_alignment(int fd) {
  struct statx status {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) != 0 ||
      (status.stx_mask & STATX_DIOALIGN) == 0) {
    return kUsualAlignment;
  }
  if (std::max(status.stx_dio_mem_align, status.stx_dio_offset_align) > kBlockAlignment) return 0;
  return std::has_single_bit(status.stx_dio_offset_align) ? status.stx_dio_offset_align : 0;
}

std::uint64_t round_down(std::uint64_t value, std::uint64_t alignment) {
  return value / alignment * alignment;
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return round_down(value + alignment - 1, alignment);
}

struct stat status_of(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail("{}: cannot stat: {}", path, errno_text(errno));
  return status;
}

/// Whether the file system, and not the file, is why a direct read failed. EFAULT: it cannot read
/// into such memory, as some cannot into what a driver has pinned.
bool declines_direct_reads(int error) {
  return error == EINVAL || error == EOPNOTSUPP || error == EFAULT;
}

}  // namespace

FileReader::FileReader(std::string path, std::uint64_t expected_bytes, ReadStatistics& statistics,
                       const FileStamp& stamp)
    : path_(std::move(path)),
      bytes_(expected_bytes),
      statistics_(statistics),
      file_(open_regular(path_)),
      page_cache_(file_.descriptor.get(), file_.bytes) {
  if (file_.bytes != expected_bytes) {
    fail("{}: changed since its header was read: {} bytes then, {} now", path_, expected_bytes,
         file_.bytes);
  }
  const FileStamp now = stamp_of(status_of(file_.descriptor.get(), path_));
  if (stamp.system != 0 && stamp.system == now.system && stamp != now) {
    fail("{}: {} since its header was read, though its size is the same", path_,
         stamp.inode != now.inode ? "replaced by another file" : "written");
  }
  opened_modified_ns_ = now.modified_ns;
  // Ranges are asked for in full; readahead beyond them would read what belongs to other ranks.
  (void)::posix_fadvise(file_.descriptor.get(), 0, 0, POSIX_FADV_RANDOM);
  open_direct();
}

void FileReader::check_unchanged() const {
  const FileStamp now = stamp_of(status_of(file_.descriptor.get(), path_));
  if (now.modified_ns != opened_modified_ns_) fail("{}: written while it was read", path_);
}

void FileReader::open_direct() {
  // By the descriptor, not by the path, which may lead to another file by now.
  const std::string self = fmt::format("/proc/self/fd/{}", file_.descriptor.get());
  direct_ = FileDescriptor(::open(self.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
  if (!direct_) return;
  direct_alignment_ = direct_alignment(direct_.get());
  direct_works_ = direct_alignment_ != 0;
}

void FileReader::check_range(std::uint64_t offset, std::uint64_t bytes) const {
  if (offset > bytes_ || bytes > bytes_ - offset) {
    fail("{}: {} bytes from byte {} are past the end of the file at byte {}", path_, bytes, offset,
         bytes_);
  }
}

std::span<const std::byte> FileReader::read(std::uint64_t offset, std::uint64_t bytes,
                                            std::span<std::byte> block) {
  check_range(offset, bytes);
  if (block.size() < padding_bytes() || block.size() - padding_bytes() < bytes ||
      reinterpret_cast<std::uintptr_t>(block.data()) % kBlockAlignment != 0) {
    fail("{}: a staging block of {} bytes does not suit a read of {} bytes with {} of padding",
         path_, block.size(), bytes, padding_bytes());
  }
  statistics_.requested_bytes += bytes;
  if (bytes == 0) return block.first(0);
  const bool in_cache = cached(offset, bytes);
  if (!in_cache && direct_works_ && read_direct(offset, bytes, block)) {
    check_unchanged();
    return block.subspan(offset % direct_alignment_, bytes);
  }
  read_buffered(offset, bytes, block.data(), in_cache);
  check_unchanged();
  return block.first(bytes);
}

bool FileReader::reads_to(std::uint64_t offset, std::uint64_t bytes) const {
  return !direct_works_ || cached(offset, bytes);
}

void FileReader::read_to(std::uint64_t offset, std::uint64_t bytes, std::byte* to) {
  check_range(offset, bytes);
  statistics_.requested_bytes += bytes;
  read_buffered(offset, bytes, to, direct_works_ || cached(offset, bytes));
  check_unchanged();
}

int FileReader::direct_file(std::uint64_t offset, std::uint64_t bytes) const {
  return direct_works_ && !cached(offset, bytes) ? direct_.get() : -1;
}

void FileReader::count_direct(std::uint64_t requested_bytes, std::uint64_t device_bytes,
                              std::uint64_t host_bytes) {
  check_unchanged();
  statistics_.requested_bytes += requested_bytes;
  statistics_.direct_bytes += device_bytes + host_bytes;
  statistics_.device_bytes += device_bytes;
}

/// Reads the range widened to the alignment into `block`. False where the file system turns out not
/// to do direct reads; nothing has been read then.
bool FileReader::read_direct(std::uint64_t offset, std::uint64_t bytes,
                             std::span<std::byte> block) {
  const std::uint64_t begin = round_down(offset, direct_alignment_);
  const std::uint64_t end = round_up(offset + bytes, direct_alignment_);
  const std::uint64_t needed = offset + bytes;  // `end` may lie past the file's own
  std::uint64_t at = begin;
  while (at < needed) {
    const ssize_t got = read_some(direct_.get(), block.data() + (at - begin), end - at, at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && at == begin && declines_direct_reads(errno)) {
      direct_works_ = false;
      return false;
    }
    if (got < 0) fail("{}: cannot read at byte {}: {}", path_, at, errno_text(errno));
    if (got == 0) {
      fail("{}: truncated while it was read: it ends at byte {}, byte {} was expected", path_, at,
           needed);
    }
    at += static_cast<std::uint64_t>(got);
    statistics_.direct_bytes += static_cast<std::uint64_t>(got);
    if (at < needed && at % direct_alignment_ != 0) {
      // A short read left an offset that direct reads cannot go on from.
      read_buffered(at, needed - at, block.data() + (at - begin), true);
      return true;
    }
  }
  return true;
}

void FileReader::read_buffered(std::uint64_t offset, std::uint64_t bytes, std::byte* to,
                               bool in_cache) {
  if (!in_cache) {
    // With readahead off, ask for the whole range at once, not page by page.
    (void)::posix_fadvise(file_.descriptor.get(), static_cast<off_t>(offset),
                          static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
  }
  std::uint64_t done = 0;
  while (done < bytes) {
    const ssize_t got = read_some(file_.descriptor.get(), to + done, bytes - done, offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("{}: cannot read at byte {}: {}", path_, offset + done, errno_text(errno));
    if (got == 0) {
      fail("{}: truncated while it was read: it ends at byte {}, byte {} was expected", path_,
           offset + done, offset + bytes);
    }
    done += static_cast<std::uint64_t>(got);
    statistics_.buffered_bytes += static_cast<std::uint64_t>(got);
  }
}

ssize_t FileReader::read_some(int fd, std::byte* to, std::uint64_t bytes, std::uint64_t offset) {
  return ::pread(fd, to, bytes, static_cast<off_t>(offset));
}

bool FileReader::cached(std::uint64_t offset, std::uint64_t bytes) const {
  return page_cache_.mostly_cached(offset, bytes);
}

}  // namespace initrt
