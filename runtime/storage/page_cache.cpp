#include "runtime/storage/page_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace initrt {
namespace {

/// cachestat(2), Linux 6.5; Debian 12's headers do not know it yet.
constexpr long kCachestat = 451;
struct CachestatRange {
  std::uint64_t offset, bytes;
};
struct Cachestat {
  std::uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

std::optional<std::uint64_t> cachestat(int fd, std::uint64_t offset, std::uint64_t bytes) {
  CachestatRange range{offset, bytes};
  Cachestat result{};
  if (::syscall(kCachestat, fd, &range, &result, 0u) != 0) return std::nullopt;
  return result.cached;
}

/// Whether mincore(2) tells this process the truth: as the kernel decides it, but for capabilities
/// that do not come with the permission to write.
bool is_told_by_mincore(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) == 0 && status.st_uid == ::geteuid()) return true;
  const std::string self = fmt::format("/proc/self/fd/{}", fd);
  return ::faccessat(AT_FDCWD, self.c_str(), W_OK, AT_EACCESS) == 0;
}

/// Pages of a range that are looked at where each costs a system call.
constexpr std::uint64_t kSamples = 8;

}  // namespace

PageCache::PageCache(int fd, std::uint64_t file_bytes) : fd_(fd) {
  page_bytes_ = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (file_bytes == 0) return;
  cachestat_ = cachestat(fd, 0, page_bytes_).has_value();
  if (cachestat_ || !is_told_by_mincore(fd)) return;
  void* mapping = ::mmap(nullptr, file_bytes, PROT_NONE, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED) return;
  mapping_ = mapping;
  mapped_bytes_ = file_bytes;
}

PageCache::~PageCache() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapped_bytes_);
}

std::optional<std::uint64_t> PageCache::cached_pages(std::uint64_t offset,
                                                     std::uint64_t bytes) const {
  if (bytes == 0) return 0;
  if (cachestat_) return cachestat(fd_, offset, bytes);
  if (mapping_ == nullptr || offset > mapped_bytes_ || bytes > mapped_bytes_ - offset) {
    return std::nullopt;
  }
  std::array<unsigned char, 4096> resident;  // one byte for each page
  std::uint64_t count = 0;
  std::uint64_t at = offset / page_bytes_ * page_bytes_;
  while (at < offset + bytes) {
    const std::uint64_t now = std::min(offset + bytes - at, resident.size() * page_bytes_);
    if (::mincore(static_cast<std::byte*>(mapping_) + at, now, resident.data()) != 0) {
      return std::nullopt;
    }
    const auto pages = static_cast<std::ptrdiff_t>((now + page_bytes_ - 1) / page_bytes_);
    count += static_cast<std::uint64_t>(
        std::count_if(resident.begin(), resident.begin() + pages,
                      [](unsigned char page) { return (page & 1) != 0; }));
    at += now;
  }
  return count;
}

bool PageCache::mostly_cached(std::uint64_t offset, std::uint64_t bytes) const {
  if (bytes == 0) return true;
  const std::optional<std::uint64_t> cached = cached_pages(offset, bytes);
  if (!cached) return mostly_readable_at_once(offset, bytes);
  const std::uint64_t pages = (offset + bytes - 1) / page_bytes_ - offset / page_bytes_ + 1;
  return *cached * 2 >= pages;
}

// A byte of each of some pages, at equal distances. A kernel may begin to read a page that it was
// asked for so, hence no more of them than it takes to decide.
bool PageCache::mostly_readable_at_once(std::uint64_t offset, std::uint64_t bytes) const {
  const std::uint64_t samples = std::min(kSamples, (bytes + page_bytes_ - 1) / page_bytes_);
  std::uint64_t cached = 0, missing = 0;
  for (std::uint64_t i = 0; i < samples && cached * 2 < samples && missing * 2 <= samples; ++i) {
    std::byte byte{};
    iovec into{&byte, 1};
    const auto at = static_cast<off_t>(offset + bytes / samples * i);
    const ssize_t got = ::preadv2(fd_, &into, 1, at, RWF_NOWAIT);
    if (got < 0 && errno != EAGAIN) return false;  // EOPNOTSUPP: nobody knows
    ++(got > 0 ? cached : missing);
  }
  return cached * 2 >= samples;
}

}  // namespace initrt
