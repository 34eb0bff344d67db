#include "runtime/storage/output_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel

// /dev/stdout leads to /proc/self/fd/1: a link that is the open file itself, whatever it reads.
bool names_an_open_file(const std::filesystem::path& link) {
  const std::filesystem::path directory = link.has_parent_path() ? link.parent_path() : ".";
  struct statfs system {};
  return ::statfs(directory.c_str(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

// Where a path leads, through all its links; "" where that is no place in a directory.
std::string follow_links(std::filesystem::path path) {
  for (int i = 0; i < kMaxLinks; ++i) {
    std::error_code error;
    if (!std::filesystem::is_symlink(path, error)) return path;
    if (names_an_open_file(path)) return "";
    const std::filesystem::path to = std::filesystem::read_symlink(path, error);
    if (error) return "";
    path = path.parent_path() / to;
  }
  return "";
}

// 0, or what errno is. File systems that have nothing to sync to say so in these ways: no failure.
int sync_result(int fd) {
  int result = 0;
  do {
    result = ::fsync(fd);
  } while (result != 0 && errno == EINTR);
  if (result == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS || errno == EROFS) {
    return 0;
  }
  return errno;
}

}  // namespace

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  struct stat old {};
  const bool exists = ::stat(path_.c_str(), &old) == 0;
  if (!exists && errno != ENOENT) fail_with_errno();
  if (exists && ::access(path_.c_str(), W_OK) != 0) fail_with_errno();  // rename would not ask
  if (!exists || S_ISREG(old.st_mode)) target_ = follow_links(path_);
  if (target_.empty()) {
    // What an open file already holds is the work of others.
    fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
    if (fd_ < 0) fail_with_errno();
    return;
  }
  const std::string part = target_ + ".part";
  struct stat left_over {};
  if (::lstat(part.c_str(), &left_over) == 0 && S_ISREG(left_over.st_mode)) ::unlink(part.c_str());
  fd_ = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_with_errno();
  part_ = part;
  // What the old file was closed to, the new one is closed to. File systems without modes refuse.
  if (exists) ::fchmod(fd_, old.st_mode & 0777);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!part_.empty()) ::unlink(part_.c_str());
}

void OutputFile::fail_with_errno() const {
  fail("{}: cannot be written: {}", path_, std::strerror(errno));
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with_errno();
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::close() {
  // On the disk before its name is: a crash would else leave the name with nothing in it.
  if (!part_.empty() && sync_result(fd_) != 0) fail_with_errno();
  // Closed even where it fails, which is how a network file system tells of a write that failed.
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) fail_with_errno();
}

void OutputFile::commit() {
  if (fd_ >= 0) close();
  if (part_.empty()) return;
  if (std::rename(part_.c_str(), target_.c_str()) != 0) fail_with_errno();
  part_.clear();
  sync_directory();
}

// The new name, too. A directory that may be written but not read cannot be opened for it.
void OutputFile::sync_directory() const {
  const std::filesystem::path parent = std::filesystem::path(target_).parent_path();
  const int directory =
      ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  int error = sync_result(directory);
  ::close(directory);
  // Network file systems refuse it in these ways for a directory.
  if (error == EBADF || error == EACCES || error == EPERM) error = 0;
  if (error == 0) return;
  fail("{}: written, but a crash of this machine may lose it: its directory cannot be synced: {}",
       path_, std::strerror(error));
}

}  // namespace initrt
