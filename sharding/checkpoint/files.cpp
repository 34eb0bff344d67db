#include "sharding/checkpoint/files.h"

#include <cstring>

#include "sharding/error.h"

namespace initrt {

std::string Files::read_text(const std::string& path, std::uint64_t limit) {
  const std::optional<FileInfo> found = stat(path);
  if (!found) fail("{}: no such file", path);
  if (found->kind != FileInfo::Kind::Regular) fail("{}: not a regular file", path);
  if (found->bytes > limit) {
    fail("{}: {} bytes, more than the {} that such a file may have", path, found->bytes, limit);
  }
  const std::vector<std::byte> content = read(path, 0, found->bytes);
  std::string text(content.size(), '\0');
  if (!content.empty()) std::memcpy(text.data(), content.data(), content.size());
  return text;
}

}  // namespace initrt
