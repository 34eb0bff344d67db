// GPUDirect Storage by NVIDIA's libcufile: reads that go from a drive into a GPU's memory, past the
// host's. The library is looked for at run time; whoever asks here need not know whether it is
// there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>

namespace initrt::cuda {

struct CuFileApi;

/// The library with its driver open, one range of a GPU's memory registered, and the files that are
/// read into it. Thread-safe. What a file and its file system can do is tried, file by file.
class CuFile {
 public:
  /// Null where the machine has no GPUDirect Storage, which is normal and not told of: no library,
  /// no driver, or memory that cannot be registered. So too where the library would read into the
  /// host's memory and copy from there (its compatibility mode): the loader does that better.
  /// @param memory of the current device; outlives this
  [[nodiscard]] static std::unique_ptr<CuFile> open(std::span<std::byte> memory);
  CuFile(const CuFile&) = delete;
  CuFile& operator=(const CuFile&) = delete;
  /// Files must still be open. Must not be called during a read.
  ~CuFile();

  enum class Use : std::uint8_t {
    No,    ///< the file cannot be read so, or another thread is trying
    Test,  ///< what the first read brings must be compared, and settle() told of the outcome
    Yes,
  };
  /// Whether to read() a file. @param descriptor of a file open with O_DIRECT
  [[nodiscard]] Use use_of(int descriptor);

  /// Whether a file is read so from here on.
  void settle(int descriptor, bool works);

  /// Reads [offset, offset + bytes) of a file to `at` bytes behind the memory's begin. All are
  /// multiples of 4096, so that the library takes no other path; the range may end past the file.
  /// @returns bytes read: fewer at the end of the file, or where something went wrong
  [[nodiscard]] std::uint64_t read(int descriptor, std::uint64_t offset, std::uint64_t bytes,
                                   std::uint64_t at);

 private:
  struct File {
    void* handle = nullptr;  ///< the library's; null where it does not take the file
    Use use = Use::No;
  };

  CuFile(std::unique_ptr<const CuFileApi> api, std::span<std::byte> memory);

  const std::unique_ptr<const CuFileApi> api_;
  const std::span<std::byte> memory_;
  std::mutex mutex_;
  std::map<int, File> files_;  // guarded by mutex_; by descriptor
};

}  // namespace initrt::cuda
