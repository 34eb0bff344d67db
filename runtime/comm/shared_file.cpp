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

/// Calls the kernel and nothing else: also run by a child that shares this process's memory.
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

/// What the child is told, and its answer.
struct Request {
  std::array<char, 64> uid_map{}, gid_map{};
  int file = -1;
};

bool write_file(const char* path, const char* text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const auto bytes = static_cast<ssize_t>(std::strlen(text));
  const bool written = ::write(fd, text, static_cast<std::size_t>(bytes)) == bytes;
  ::close(fd);
  return written;
}

// A file system's files belong to somebody whom the namespace knows: the user himself.
int open_in_namespace(void* argument) {
  Request& request = *static_cast<Request*>(argument);
  if (write_file("/proc/self/uid_map", request.uid_map.data()) &&
      write_file("/proc/self/setgroups", "deny") &&
      write_file("/proc/self/gid_map", request.gid_map.data())) {
    request.file = open_tmpfs_file();
  }
  return 0;
}

/// Whether huge pages are allowed, but not for memfds.
bool wants_tmpfs() {
  const std::string all = huge_page_choice("enabled");
  return (all == "always" || all == "madvise") && huge_page_choice("shmem_enabled") == "never";
}

}  // namespace

Descriptor make_tmpfs_file() { return Descriptor(open_tmpfs_file()); }

// The child is one that posix_spawn(3) would make: it shares memory and descriptors, and this
// thread waits for it. No handlers of fork(2) run, which MPI libraries warn of.
Descriptor make_tmpfs_file_in_namespace() {
  Request request;
  const auto map = [](std::array<char, 64>& text, unsigned id) {
    std::snprintf(text.data(), text.size(), "%u %u 1", id, id);
  };
  map(request.uid_map, ::geteuid());
  map(request.gid_map, ::getegid());
  alignas(16) std::array<std::byte, 64 << 10> stack;
  const pid_t child = ::clone(
      open_in_namespace, stack.data() + stack.size(),
      CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, &request);
  if (child < 0) return {};
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return Descriptor(request.file);
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
