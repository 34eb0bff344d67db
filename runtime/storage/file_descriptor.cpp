#include "runtime/storage/file_descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <system_error>

#include "sharding/error.h"

namespace initrt {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

OpenFile open_regular(const std::string& path) {
  // O_NONBLOCK: opening a FIFO for reading would otherwise wait for someone to write. It changes
  // nothing for the regular files that are all that passes the check.
  int fd = -1;
  do {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) fail("{}: cannot open: {}", path, errno_text(errno));
  OpenFile file{FileDescriptor(fd), 0};
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail("{}: cannot stat: {}", path, errno_text(errno));
  if (S_ISDIR(status.st_mode)) fail("{}: a directory, expected a file", path);
  if (!S_ISREG(status.st_mode)) fail("{}: not a regular file", path);
  file.bytes = static_cast<std::uint64_t>(status.st_size);
  return file;
}

namespace {

// Of this boot of this kernel: mounts may differ, but not what numbers mean.
std::uint64_t this_system() {
  static const std::uint64_t id = [] {
    std::string text;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> text;
    return text.empty() ? 0 : std::hash<std::string>()(text) | 1;
  }();
  return id;
}

}  // namespace

FileStamp stamp_of(const struct stat& status) {
  return {this_system(), status.st_ino,
          std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::string errno_text(int error) { return std::generic_category().message(error); }

}  // namespace initrt
