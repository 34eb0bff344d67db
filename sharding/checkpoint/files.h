// How the planning layer reads the small parts of a checkpoint (headers, configs, tokenizers).
// The planning layer does no I/O of its own: runtime/storage implements this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace initrt {

/// Which file it was that a path led to, and since when it was as it was. Numbers are of one
/// system: on another, where the path may lead to a copy, they tell nothing.
struct FileStamp {
  std::uint64_t system = 0;  ///< 0: nothing is known
  std::uint64_t inode = 0;
  std::int64_t modified_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

struct FileInfo {
  enum class Kind : std::uint8_t { Regular, Directory, Other };
  Kind kind = Kind::Other;
  std::uint64_t bytes = 0;  ///< size of a regular file
  FileStamp stamp{};        ///< of a regular file, when it was looked at first
};

/// Read access by path. Symbolic links are followed.
class Files {
 public:
  virtual ~Files() = default;

  /// What the path leads to, or nothing where it does not exist.
  virtual std::optional<FileInfo> stat(const std::string& path) = 0;

  /// Names (not paths) in a directory, sorted.
  virtual std::vector<std::string> list(const std::string& directory) = 0;

  /// Exactly `bytes` bytes from `offset`.
  /// @throws Error naming the path and the byte where the file ends too soon or cannot be read.
  virtual std::vector<std::byte> read(const std::string& path, std::uint64_t offset,
                                      std::uint64_t bytes) = 0;

  /// What is left of something that is read once, from front to back: a pipe, a FIFO, a device, or
  /// standard input (see is_standard_input()).
  /// @throws Error where it cannot be read, or holds more than `limit` bytes
  virtual std::vector<std::byte> read_stream(const std::string& path, std::uint64_t limit);

  /// What `answer` finds out by reading more than ranks can send one another, in few words. Where
  /// one rank reads for all, the others are told the words. @param question the same on all ranks
  virtual std::string ask(const std::string& question, const std::function<std::string()>& answer) {
    static_cast<void>(question);
    return answer();
  }

  /// The whole of a text file of at most `limit` bytes. @throws Error also where it is larger.
  std::string read_text(const std::string& path, std::uint64_t limit = kMaxTextBytes);

  /// The whole of what a person names: a text file, or what read_stream() reads. For no path that
  /// a checkpoint names: a FIFO's reader waits for its writer.
  std::string read_input(const std::string& path, std::uint64_t limit = kMaxTextBytes);

  static constexpr std::uint64_t kMaxTextBytes = 256ull << 20;
};

/// Whether a path stands for this process's standard input: "-", "/dev/stdin" and its like.
[[nodiscard]] bool is_standard_input(std::string_view path);

/// Whether a path is no file in a directory that others are beside: standard input, a pipe.
[[nodiscard]] bool is_stream(Files& files, const std::string& path);

}  // namespace initrt
