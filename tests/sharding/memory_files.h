// Files in memory, for checkpoints that a test makes up.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "sharding/checkpoint/files.h"
#include "sharding/error.h"

namespace initrt::testing {

class MemoryFiles final : public Files {
 public:
  std::map<std::string, std::string> content;  ///< by path; directories are what paths imply

  std::map<std::string, std::string> streams;  ///< by path, what is read once

  std::optional<FileInfo> stat(const std::string& path) override {
    const auto found = content.find(path);
    if (found != content.end()) return FileInfo{FileInfo::Kind::Regular, found->second.size()};
    if (streams.contains(path)) return FileInfo{FileInfo::Kind::Other, 0};
    if (!list(path).empty()) return FileInfo{FileInfo::Kind::Directory, 0};
    return std::nullopt;
  }

  std::vector<std::string> list(const std::string& directory) override {
    const std::string prefix = directory.empty() ? "" : directory + "/";
    std::vector<std::string> names;
    for (const auto& [path, text] : content) {
      if (!path.starts_with(prefix)) continue;
      std::string name = path.substr(prefix.size(), path.find('/', prefix.size()) - prefix.size());
      if (names.empty() || names.back() != name) names.push_back(std::move(name));
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  std::vector<std::byte> read(const std::string& path, std::uint64_t offset,
                              std::uint64_t bytes) override {
    const auto found = content.find(path);
    if (found == content.end()) fail("{}: no such file", path);
    const std::string& text = found->second;
    if (offset > text.size() || bytes > text.size() - offset) {
      fail("{}: {} bytes from byte {}, but it has {}", path, bytes, offset, text.size());
    }
    const auto* begin = reinterpret_cast<const std::byte*>(text.data()) + offset;
    return {begin, begin + bytes};
  }

  std::vector<std::byte> read_stream(const std::string& path, std::uint64_t) override {
    const auto found = streams.extract(path);
    if (found.empty()) fail("{}: no such stream", path);
    const auto* begin = reinterpret_cast<const std::byte*>(found.mapped().data());
    return {begin, begin + found.mapped().size()};
  }
};

}  // namespace initrt::testing
