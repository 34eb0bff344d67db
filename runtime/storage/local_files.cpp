#include "runtime/storage/local_files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "runtime/storage/file_descriptor.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::size_t kStreamStep = 64u << 10;  // what a pipe holds
constexpr int kLookMs = 100;                    // how often `waiting` is called

// Not blocking, as a FIFO's open would until somebody writes: read_all() waits for that.
FileDescriptor open_stream(const std::string& path) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) fail("{}: cannot open: {}", path, errno_text(errno));
  return FileDescriptor(fd);
}

// Until a read does not block: there is something, or the end, or an error that the read tells.
void wait_for_input(int fd, const std::function<void()>& waiting) {
  while (true) {
    pollfd input{fd, POLLIN, 0};
    const int ready = ::poll(&input, 1, kLookMs);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return;
    if (waiting) waiting();
  }
}

// To the end of what `fd` gives.
std::vector<std::byte> read_all(int fd, const std::string& name, std::uint64_t limit,
                                const std::function<void()>& waiting) {
  std::vector<std::byte> content;
  std::size_t done = 0;
  while (true) {
    content.resize(done + kStreamStep);
    wait_for_input(fd, waiting);
    const ssize_t got = ::read(fd, content.data() + done, kStreamStep);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) fail("{}: cannot read: {}", name, errno_text(errno));
    done += static_cast<std::size_t>(got);
    if (done > limit) fail("{}: more than the {} bytes that such a text may have", name, limit);
    if (got == 0) break;
  }
  content.resize(done);
  return content;
}

}  // namespace

std::optional<FileInfo> LocalFiles::stat(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    fail("{}: cannot stat: {}", path, errno_text(errno));
  }
  FileInfo found;
  if (S_ISREG(status.st_mode)) {
    found.kind = FileInfo::Kind::Regular;
    found.bytes = static_cast<std::uint64_t>(status.st_size);
    found.stamp = first_seen_.try_emplace(path, stamp_of(status)).first->second;
  } else if (S_ISDIR(status.st_mode)) {
    found.kind = FileInfo::Kind::Directory;
  }
  return found;
}

std::vector<std::string> LocalFiles::list(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> names;
  // As in join_path(), an empty directory is the working directory.
  std::filesystem::directory_iterator entry(directory.empty() ? "." : directory, error), end;
  for (; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) fail("{}: cannot list: {}", directory, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::byte> LocalFiles::read(const std::string& path, std::uint64_t offset,
                                        std::uint64_t bytes) {
  const OpenFile file = open_regular(path);
  // Checked before anything is allocated: a size from a hostile header may be absurd.
  if (offset > file.bytes || bytes > file.bytes - offset) {
    fail("{}: truncated: {} bytes from byte {} are needed, but the file has {}", path, bytes,
         offset, file.bytes);
  }
  std::vector<std::byte> content(bytes);
  std::uint64_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        read_some(path, file.descriptor.get(), content.data() + done, bytes - done, offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("{}: cannot read at byte {}: {}", path, offset + done, errno_text(errno));
    if (got == 0) {
      fail("{}: truncated while it was read: it ends at byte {}, byte {} was expected", path,
           offset + done, offset + bytes);
    }
    done += static_cast<std::uint64_t>(got);
  }
  return content;
}

ssize_t LocalFiles::read_some(const std::string&, int fd, std::byte* to, std::uint64_t bytes,
                              std::uint64_t offset) {
  return ::pread(fd, to, bytes, static_cast<off_t>(offset));
}

std::vector<std::byte> LocalFiles::read_stream(const std::string& path, std::uint64_t limit) {
  if (!is_standard_input(path)) return read_all(open_stream(path).get(), path, limit, waiting_);
  if (standard_input_read_) fail("{}: standard input is named twice, and can be read once", path);
  standard_input_read_ = true;
  // Not opened by its name: what is left of it is wanted, and a socket cannot be opened.
  return read_all(STDIN_FILENO, "standard input", limit, waiting_);
}

}  // namespace initrt
