#include "runtime/storage/page_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "runtime/storage/file_descriptor.h"
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

TEST(PageCache, AnEmptyFileIsCached) {
  const TemporaryFile file("");
  const OpenFile open = open_regular(file.path());
  const PageCache cache(open.descriptor.get(), 0);
  EXPECT_TRUE(cache.mostly_cached(0, 0));
}

}  // namespace
}  // namespace initrt
