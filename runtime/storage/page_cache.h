// How much of a file the kernel already holds in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace initrt {

/// Answers for one open file whether a range is cached. The kernel tells the file's owner, and who
/// may write it: by cachestat(2), or on older kernels by mincore(2) over a mapping that is never
/// touched, which calls every page cached for anybody else. Others find out by reading some of the
/// pages without waiting for storage, which only some file systems do. Thread-safe.
class PageCache {
 public:
  /// `fd` stays the caller's and must outlive this.
  PageCache(int fd, std::uint64_t file_bytes);
  PageCache(const PageCache&) = delete;
  PageCache& operator=(const PageCache&) = delete;
  ~PageCache();

  /// Pages of [offset, offset + bytes) that are cached, or nothing where the kernel does not tell.
  [[nodiscard]] std::optional<std::uint64_t> cached_pages(std::uint64_t offset,
                                                          std::uint64_t bytes) const;

  /// Whether at least half of the range's pages are cached, as far as there are answers for some of
  /// them. False where there are none: weights are read once, so hardly anybody has read them
  /// before, and direct reads of what is cached cost time where buffered reads of what is not push
  /// out other programs' pages too.
  [[nodiscard]] bool mostly_cached(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  [[nodiscard]] bool mostly_readable_at_once(std::uint64_t offset, std::uint64_t bytes) const;

  int fd_;
  bool cachestat_ = false;
  void* mapping_ = nullptr;  ///< PROT_NONE: takes address space only
  std::uint64_t mapped_bytes_ = 0, page_bytes_ = 4096;
};

}  // namespace initrt
