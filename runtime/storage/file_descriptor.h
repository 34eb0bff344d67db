// An open file, closed when it goes out of scope.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "sharding/checkpoint/files.h"

struct stat;

namespace initrt {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct OpenFile {
  FileDescriptor descriptor;
  std::uint64_t bytes = 0;
};

/// The stamp of what stat(2) says of a file of this system. @param status struct stat
[[nodiscard]] FileStamp stamp_of(const struct stat& status);

/// Opens a regular file for reading, following links. Never waits, not even for the writer of a
/// FIFO. @throws Error naming the path where there is none or it is something else.
[[nodiscard]] OpenFile open_regular(const std::string& path);

/// What errno value `error` means, e.g. "Input/output error".
[[nodiscard]] std::string errno_text(int error);

}  // namespace initrt
