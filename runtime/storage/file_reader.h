// Ranges of a local file: from the page cache where it has them, past it (O_DIRECT) where not.
#pragma once

#include <sys/types.h>

#include <atomic>

#include "runtime/storage/file_descriptor.h"
#include "runtime/storage/page_cache.h"
#include "runtime/storage/range_reader.h"

namespace initrt {

/// A weight is read once, so caching it would only push out what is of use; but what the cache
/// already holds is several times faster to copy from there.
class FileReader : public RangeReader {
 public:
  /// `expected_bytes` is the size that the file's headers were read against. `statistics` (not
  /// owned) must outlive this. @throws Error where the file is not there, not a regular file, or of
  /// another size.
  /// @param stamp what the file was then: another one is an error too, on the same system, even of
  ///        the same size
  FileReader(std::string path, std::uint64_t expected_bytes, ReadStatistics& statistics,
             const FileStamp& stamp = {});

  [[nodiscard]] const std::string& path() const override { return path_; }
  [[nodiscard]] std::uint64_t bytes() const override { return bytes_; }
  [[nodiscard]] std::uint64_t padding_bytes() const override { return 2 * direct_alignment_; }
  std::span<const std::byte> read(std::uint64_t offset, std::uint64_t bytes,
                                  std::span<std::byte> block) override;
  [[nodiscard]] bool reads_to(std::uint64_t offset, std::uint64_t bytes) const override;
  void read_to(std::uint64_t offset, std::uint64_t bytes, std::byte* to) override;
  [[nodiscard]] int direct_file(std::uint64_t offset, std::uint64_t bytes) const override;
  void count_direct(std::uint64_t requested_bytes, std::uint64_t device_bytes,
                    std::uint64_t host_bytes) override;

 protected:
  /// One pread(2), with errno set where it returns -1. Tests override it to inject faults.
  virtual ssize_t read_some(int fd, std::byte* to, std::uint64_t bytes, std::uint64_t offset);

  /// Whether the range is better read through the page cache.
  [[nodiscard]] virtual bool cached(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  void open_direct();
  void check_range(std::uint64_t offset, std::uint64_t bytes) const;
  // A file that is written while it is read gives neither what it was nor what it will be.
  void check_unchanged() const;
  bool read_direct(std::uint64_t offset, std::uint64_t bytes, std::span<std::byte> block);
  void read_buffered(std::uint64_t offset, std::uint64_t bytes, std::byte* to, bool in_cache);

  std::string path_;
  std::uint64_t bytes_ = 0;
  ReadStatistics& statistics_;
  OpenFile file_;
  std::int64_t opened_modified_ns_ = 0;
  PageCache page_cache_;
  FileDescriptor direct_;               ///< the same file with O_DIRECT, where it can be opened so
  std::uint64_t direct_alignment_ = 0;  ///< of offsets and lengths; 0 without O_DIRECT
  std::atomic<bool> direct_works_{false};
};

}  // namespace initrt
