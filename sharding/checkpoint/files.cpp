#include "sharding/checkpoint/files.h"

#include <cstring>

#include "sharding/error.h"

namespace initrt {
namespace {

std::string as_text(const std::vector<std::byte>& content) {
  std::string text(content.size(), '\0');
  if (!content.empty()) std::memcpy(text.data(), content.data(), content.size());
  return text;
}

}  // namespace

std::string Files::read_text(const std::string& path, std::uint64_t limit) {
  const std::optional<FileInfo> found = stat(path);
  if (!found) fail("{}: no such file", path);
  if (found->kind != FileInfo::Kind::Regular) fail("{}: not a regular file", path);
  if (found->bytes > limit) {
    fail("{}: {} bytes, more than the {} that such a file may have", path, found->bytes, limit);
  }
  return as_text(read(path, 0, found->bytes));
}

std::string Files::read_input(const std::string& path, std::uint64_t limit) {
  if (is_stream(*this, path)) return as_text(read_stream(path, limit));
  const std::optional<FileInfo> found = stat(path);
  if (found && found->kind == FileInfo::Kind::Directory) {
    fail("{}: a directory, expected a file", path);
  }
  if (!found && path.starts_with("/dev/fd/")) {
    fail("{}: no such file: a launcher does not hand a shell's pipes on; \"-\" is standard input",
         path);
  }
  return read_text(path, limit);
}

std::vector<std::byte> Files::read_stream(const std::string& path, std::uint64_t) {
  fail("{}: not a regular file", path);
}

bool is_standard_input(std::string_view path) {
  return path == "-" || path == "/dev/stdin" || path == "/dev/fd/0" || path == "/proc/self/fd/0";
}

bool is_stream(Files& files, const std::string& path) {
  if (is_standard_input(path)) return true;
  const std::optional<FileInfo> found = files.stat(path);
  return found && found->kind == FileInfo::Kind::Other;
}

}  // namespace initrt
