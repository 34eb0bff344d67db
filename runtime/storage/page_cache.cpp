#include "runtime/storage/page_cache.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

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

}  // namespace

PageCache::PageCache(int fd, std::uint64_t file_bytes) : fd_(fd) {
  page_bytes_ = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (file_bytes == 0) return;
  cachestat_ = cachestat(fd, 0, page_bytes_).has_value();
  if (cachestat_) return;
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
  if (!cached) return true;
  const std::uint64_t pages = (offset + bytes - 1) / page_bytes_ - offset / page_bytes_ + 1;
  return *cached * 2 >= pages;
}

}  // namespace initrt
