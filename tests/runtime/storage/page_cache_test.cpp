#include "runtime/storage/page_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <thread>

#include "runtime/storage/file_descriptor.h"
#include "runtime/storage/file_reader.h"
#include "tests/runtime/storage/temporary_file.h"

namespace initrt {
namespace {

using testing::random_bytes;
using testing::TemporaryFile;

TEST(PageCache, WhatWasJustWrittenIsCached) {
  const TemporaryFile file(random_bytes(64 * 4096, 1));
  const OpenFile open = open_regular(file.path());
  const PageCache cache(open.descriptor.get(), open.bytes);
  const auto pages = cache.cached_pages(0, 64 * 4096);
  if (!pages) GTEST_SKIP() << "the kernel does not tell";
  EXPECT_EQ(*pages, 64u);
  EXPECT_EQ(cache.cached_pages(4095, 2), 2u) << "pages that the range touches";
  EXPECT_EQ(cache.cached_pages(4096, 4096), 1u);
  EXPECT_EQ(cache.cached_pages(100, 0), 0u);
  EXPECT_TRUE(cache.mostly_cached(5000, 100'000));
  EXPECT_TRUE(cache.mostly_cached(5000, 0));
}

TEST(PageCache, WhatWasDroppedIsNot) {
  const TemporaryFile file(random_bytes(64 * 4096, 2));
  const OpenFile open = open_regular(file.path());
  ASSERT_EQ(::fsync(open.descriptor.get()), 0);
  ASSERT_EQ(::posix_fadvise(open.descriptor.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  const PageCache cache(open.descriptor.get(), open.bytes);
  const auto pages = cache.cached_pages(0, 64 * 4096);
  if (!pages || *pages != 0) GTEST_SKIP() << "the kernel kept the pages, or does not tell";
  EXPECT_FALSE(cache.mostly_cached(5000, 100'000));
  // Half of the pages make it so.
  std::byte page[4096];
  ASSERT_EQ(::posix_fadvise(open.descriptor.get(), 0, 0, POSIX_FADV_RANDOM), 0);
  for (int i = 0; i < 8; ++i) ASSERT_EQ(::pread(open.descriptor.get(), page, 4096, i * 4096), 4096);
  const auto now = cache.cached_pages(0, 64 * 4096);
  ASSERT_TRUE(now);
  EXPECT_GE(*now, 8u);
  EXPECT_TRUE(cache.mostly_cached(0, *now * 2 * 4096));
  EXPECT_FALSE(cache.mostly_cached(0, (*now * 2 + 1) * 4096));
}

/// From here on this process's kernel is one without cachestat(2), as those before Linux 6.5 are.
bool refuse_cachestat() {
  constexpr unsigned kCachestat = 451;
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kCachestat, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(filter), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool drop_pages(int fd) {
  return ::fsync(fd) == 0 && ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
}

/// What is wrong with the answers for a file of `pages` pages, in a process without cachestat(2).
std::string wrong_without_cachestat(const std::string& path, std::uint64_t pages) {
  const OpenFile open = open_regular(path);
  const int fd = open.descriptor.get();
  const PageCache cache(fd, open.bytes);
  const auto cached = cache.cached_pages(0, open.bytes);
  if (!cached) return "no answer";
  if (*cached != pages) return "not all pages are cached: " + std::to_string(*cached);
  if (cache.cached_pages(4095, 2) != 2) return "a range over two pages";
  if (cache.cached_pages(4097, 4095) != 1) return "a range within a page";
  if (cache.cached_pages(open.bytes, 1)) return "an answer past the end";
  struct statfs system {};
  if (::fstatfs(fd, &system) != 0) return "cannot stat";
  if (system.f_type == TMPFS_MAGIC) return "";  // there is nowhere to drop its pages to
  if (!drop_pages(fd)) return "cannot drop";
  const auto left = cache.cached_pages(0, open.bytes);
  if (!left || *left > pages / 2) return "dropped pages count as cached";
  if (cache.mostly_cached(0, open.bytes)) return "mostly cached, but dropped";
  return "";
}

TEST(PageCache, OlderKernelsTellByMincore) {
  // More pages than are asked about at once.
  constexpr std::uint64_t kPages = 4096 + 17;
  const TemporaryFile file(random_bytes(kPages * 4096 - 100, 3));
  const auto check = [&] {
    const bool filtered = refuse_cachestat();
    const std::string wrong = filtered ? wrong_without_cachestat(file.path(), kPages) : "";
    std::fprintf(stderr, "%s\n", filtered ? wrong.c_str() : "no seccomp filters here");
    std::_Exit(wrong.empty() ? 0 : 1);
  };
  EXPECT_EXIT(check(), ::testing::ExitedWithCode(0), "");
}

/// What is wrong with the answers for another user than the file's owner, before and after its
/// pages are dropped. @param old_kernel without cachestat(2)
std::string wrong_for_another_user(const TemporaryFile& file, bool old_kernel) {
  constexpr uid_t kNobody = 65534;
  const OpenFile owners = open_regular(file.path());
  if (::setresuid(kNobody, kNobody, kNobody) != 0) return "cannot be another user";
  if (old_kernel && !refuse_cachestat()) return "no seccomp filters here";
  const OpenFile open = open_regular(file.path());
  const PageCache cache(open.descriptor.get(), open.bytes);
  if (cache.cached_pages(0, open.bytes)) return "the kernel tells whom it does not tell";
  if (!cache.mostly_cached(0, open.bytes)) return "what was just written is not cached";
  if (!cache.mostly_cached(4097, 1)) return "a byte of what was just written is not cached";
  // Pages that something else of the system just looks at are not dropped: once more then.
  bool cached = true;
  for (int i = 0; i < 100 && cached; ++i) {
    if (!drop_pages(owners.descriptor.get())) return "cannot drop";
    cached = cache.mostly_cached(0, open.bytes);
    if (cached) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (cached) return "dropped pages count as cached";
  ReadStatistics statistics;
  FileReader reader(file.path(), open.bytes, statistics);
  if (reader.padding_bytes() == 0) return "";  // no direct reads on this file system
  if (reader.direct_file(1 << 20, 1 << 20) < 0) return "dropped pages are not read directly";
  return "";
}

TEST(PageCache, WhoNeitherOwnsNorMayWriteAFileStillReadsDirectlyWhatIsNotCached) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  for (const bool old_kernel : {false, true}) {
    const TemporaryFile file(random_bytes(4 << 20, 4));
    struct statfs system {};
    ASSERT_EQ(::statfs(file.path().c_str(), &system), 0);
    if (system.f_type == TMPFS_MAGIC) GTEST_SKIP() << "there is nowhere to drop its pages to";
    const auto check = [&] {
      const std::string wrong = wrong_for_another_user(file, old_kernel);
      std::fprintf(stderr, "%s\n", wrong.c_str());
      std::_Exit(wrong.empty() ? 0 : 1);
    };
    EXPECT_EXIT(check(), ::testing::ExitedWithCode(0), "") << old_kernel;
  }
}

TEST(PageCache, AnEmptyFileIsCached) {
  const TemporaryFile file("");
  const OpenFile open = open_regular(file.path());
  const PageCache cache(open.descriptor.get(), 0);
  EXPECT_TRUE(cache.mostly_cached(0, 0));
}

}  // namespace
}  // namespace initrt
