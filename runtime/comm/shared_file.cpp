#include "runtime/comm/shared_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>

#include "runtime/device/host_memory.h"
#include "sharding/error.h"

namespace initrt {
namespace {

/// Calls the kernel and nothing else: also run by a child of a process that has threads.
int open_tmpfs_file() {
  const auto fs = static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
  if (fs < 0) return -1;
  int file = -1;
  // "size" 0: no limit but the machine's, as a memfd has it.
  if (::syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "huge", "advise", 0) == 0 &&
      ::syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "0", 0) == 0 &&
      ::syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    const auto mount = static_cast<int>(::syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
    if (mount >= 0) {
      file = ::openat(mount, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
      ::close(mount);
    }
  }
  ::close(fs);
  return file;
}

using IdMap = std::array<char, 64>;

bool write_file(const char* path, const char* text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const auto bytes = static_cast<ssize_t>(std::strlen(text));
  const bool written = ::write(fd, text, static_cast<std::size_t>(bytes)) == bytes;
  ::close(fd);
  return written;
}

// A file system's files belong to somebody whom the namespace knows: the user himself.
int open_in_namespace(const IdMap& users, const IdMap& groups) {
  const bool known = write_file("/proc/self/uid_map", users.data()) &&
                     write_file("/proc/self/setgroups", "deny") &&
                     write_file("/proc/self/gid_map", groups.data());
  return known ? open_tmpfs_file() : -1;
}

/// Whether huge pages are allowed, but not for memfds.
bool wants_tmpfs() {
  const std::string all = huge_page_choice("enabled");
  return (all == "always" || all == "madvise") && huge_page_choice("shmem_enabled") == "never";
}

}  // namespace

Descriptor make_tmpfs_file() { return Descriptor(open_tmpfs_file()); }

// The child shares this process's descriptors, so that the file is here too, and says which it is.
// Not fork(2): its handlers do not run, which MPI libraries warn of.
Descriptor make_tmpfs_file_in_namespace() {
  IdMap users{}, groups{};
  std::snprintf(users.data(), users.size(), "%u %u 1", ::geteuid(), ::geteuid());
  std::snprintf(groups.data(), groups.size(), "%u %u 1", ::getegid(), ::getegid());
  std::array<int, 2> ends{-1, -1};
  // Where SIGCHLD is ignored nothing tells that the child failed but that it wrote nothing.
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return {};
  const Descriptor from_child(ends[0]), to_parent(ends[1]);
  const auto child = static_cast<pid_t>(
      ::syscall(SYS_clone, CLONE_FILES | CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
  if (child < 0) return {};
  if (child == 0) {
    const int file = open_in_namespace(users, groups);
    ::_exit(::write(to_parent.get(), &file, sizeof file) == sizeof file ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  int file = -1;
  if (status != 0 || ::read(from_child.get(), &file, sizeof file) != sizeof file) return {};
  return Descriptor(file);
}

Descriptor make_shared_file(std::uint64_t bytes) {
  Descriptor file;
  if (wants_tmpfs()) {
    file = make_tmpfs_file();
    if (file.get() < 0) file = make_tmpfs_file_in_namespace();
  }
  if (file.get() < 0) file = Descriptor(::memfd_create("initrt-shard", MFD_CLOEXEC));
  if (file.get() < 0 || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    const std::string reason = std::strerror(errno);
    throw ResourceError(
        Resource::Memory,
        fmt::format("mapped memory: a shared shard of {} bytes: {}", bytes, reason));
  }
  return file;
}

}  // namespace initrt
