// A file that appears under its name whole or not at all.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace initrt {

/// Written beside its target as "<target>.part", and renamed over it by commit(). A symbolic link
/// stays: its target is what is replaced. What is no regular file (a FIFO, a device), and an open
/// file of a process (/dev/stdout, /dev/fd/3), cannot be replaced and is written as it goes.
///
/// Every function throws Error, with the path as it was given, where it cannot be done. A process
/// that is killed leaves its .part, which the next one replaces.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Without commit() nothing is left.
  ~OutputFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// No more is written; it may still be undone. Many files can wait so for their commit().
  void close();
  /// Closes it where it is open; it appears under its name, and is still there after a crash.
  void commit();

 private:
  [[noreturn]] void fail_with_errno() const;
  void sync_directory() const;

  const std::string path_;  // as given
  std::string target_;      // what it leads to
  std::string part_;        // "" where written in place, or committed
  int fd_ = -1;
};

}  // namespace initrt
