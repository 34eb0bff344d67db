// Files that ranks share as memory, and where they come from.
#include "runtime/comm/shared_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "runtime/device/host_memory.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kHugePage = 2u << 20;

Mapping map_file(const Descriptor& file, std::uint64_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  EXPECT_NE(address, MAP_FAILED);
  return {address, bytes};
}

/// What a child process says by its exit status, as the user `uid` where this one is root.
bool in_child(uid_t uid, const std::function<bool()>& question) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && (::setgid(uid) != 0 || ::setuid(uid) != 0)) ::_exit(2);
    ::prctl(PR_SET_DUMPABLE, 1);  // as after exec(2): else its /proc is root's
    ::_exit(question() ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 2);
  return WEXITSTATUS(status) == 0;
}

// By a program of its own: a sanitizer's thread would be in the way here.
bool may_have_namespaces() { return std::system("unshare --user --mount true 2>/dev/null") == 0; }

TEST(SharedFile, IsZerosThatAllItsMappingsShare) {
  const Descriptor file = make_shared_file(3 * kHugePage + 4096);
  struct stat status {};
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_size, 3 * kHugePage + 4096);
  EXPECT_EQ(status.st_nlink, 0u) << "it has no name";
  const Mapping one = map_file(file, 3 * kHugePage + 4096);
  const Mapping other = map_file(file, 3 * kHugePage + 4096);
  EXPECT_EQ(other.data()[kHugePage + 1], std::byte{0});
  one.data()[kHugePage + 1] = std::byte{7};
  EXPECT_EQ(other.data()[kHugePage + 1], std::byte{7});
}

TEST(SharedFile, OfMoreThanAnyFileIsAnErrorThatSaysSo) {
  try {
    static_cast<void>(make_shared_file(~0ull / 2 + 1));
    FAIL() << "an error is expected";
  } catch (const ResourceError& error) {
    EXPECT_NE(std::string(error.what()).find("a shared shard of 9223372036854775808 bytes"),
              std::string::npos)
        << error.what();
  }
}

TEST(SharedFile, OfATmpfsOfItsOwnHasHugePages) {
  Descriptor file = make_tmpfs_file();
  if (file.get() < 0) file = make_tmpfs_file_in_namespace();
  if (file.get() < 0) {
    // Only where this user may make no namespace either.
    EXPECT_FALSE(may_have_namespaces());
    return;
  }
  constexpr std::uint64_t kBytes = 16 * kHugePage;
  ASSERT_EQ(::ftruncate(file.get(), kBytes), 0);
  const Mapping reserved(::mmap(nullptr, kBytes + kHugePage, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
                         kBytes + kHugePage);
  const auto begin = reinterpret_cast<std::uintptr_t>(reserved.data());
  std::byte* const data = reserved.data() + (kHugePage - begin % kHugePage) % kHugePage;
  ASSERT_EQ(::mmap(data, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(), 0),
            data);
  for (const int advice : {MADV_NOHUGEPAGE, MADV_HUGEPAGE}) {
    if (::madvise(data, kBytes, advice) != 0) return;  // a kernel without huge pages
    std::byte* const half = data + (advice == MADV_HUGEPAGE ? kBytes / 2 : 0);
    for (std::uint64_t i = 0; i < kBytes / 2; i += 4096) half[i] = std::byte{1};
    const std::uint64_t huge = huge_page_bytes(data, kBytes);
    EXPECT_EQ(huge > 0, advice == MADV_HUGEPAGE) << huge;
  }
}

TEST(SharedFile, OfATmpfsNeedsNoRootWhereUsersMayHaveNamespaces) {
  constexpr uid_t kNobody = 65534;
  const bool allowed = in_child(kNobody, may_have_namespaces);
  EXPECT_EQ(in_child(kNobody, [] { return make_tmpfs_file_in_namespace().get() >= 0; }), allowed);
  EXPECT_FALSE(in_child(kNobody, [] { return make_tmpfs_file().get() >= 0; }));
  EXPECT_TRUE(in_child(kNobody, [] { return make_shared_file(kHugePage).get() >= 0; }));
}

}  // namespace
}  // namespace initrt
