// Files on this machine's file systems, for headers, configs and tokenizers.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "sharding/checkpoint/files.h"

namespace initrt {

/// Opens a file anew for each call: there are few, and none is kept open. Standard input is read
/// once.
class LocalFiles : public Files {
 public:
  /// @param waiting called from time to time while read_stream() waits for whoever writes, which is
  ///        no stall; may be empty, may throw
  explicit LocalFiles(std::function<void()> waiting = {}) : waiting_(std::move(waiting)) {}
  /// @throws Error where the path cannot be examined (no permission, a loop of links).
  std::optional<FileInfo> stat(const std::string& path) override;
  std::vector<std::string> list(const std::string& directory) override;
  std::vector<std::byte> read(const std::string& path, std::uint64_t offset,
                              std::uint64_t bytes) override;
  /// Waits for whoever writes; a second call for standard input is an error, not an empty text.
  std::vector<std::byte> read_stream(const std::string& path, std::uint64_t limit) override;

 protected:
  /// One pread(2), with errno set where it returns -1, for read(). Tests override it to inject
  /// faults.
  virtual ssize_t read_some(const std::string& path, int fd, std::byte* to, std::uint64_t bytes,
                            std::uint64_t offset);

 private:
  const std::function<void()> waiting_;
  bool standard_input_read_ = false;
  std::map<std::string, FileStamp> first_seen_;  // by path
};

}  // namespace initrt
