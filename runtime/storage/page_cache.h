// How much of a file the kernel already holds in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace initrt {

/// Answers for one open file whether a range is cached, by cachestat(2) where the kernel has and
/// allows it, else by mincore(2) over a mapping that is never touched. Thread-safe.
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

  /// Whether at least half of the range's pages are cached; so too where the kernel does not tell.
  [[nodiscard]] bool mostly_cached(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  int fd_;
  bool cachestat_ = false;
  void* mapping_ = nullptr;  ///< PROT_NONE: takes address space only
  std::uint64_t mapped_bytes_ = 0, page_bytes_ = 4096;
};

}  // namespace initrt
