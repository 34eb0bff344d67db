// The table of formats, and the choice between them by content.
#include "sharding/checkpoint/formats.h"

#include <algorithm>
#include <array>

#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::array kFormats = {
    Format{"safetensors", detect_safetensors, open_safetensors},
    Format{"pytorch", detect_pytorch, open_pytorch},
    Format{"lit", detect_lit, open_lit},
    Format{"meta", detect_meta, open_meta},
    Format{"dcp", detect_dcp, open_dcp},
    Format{"gguf", detect_gguf, open_gguf},
};

constexpr std::string_view kTried =
    "tried safetensors (an 8-byte header length, then '{'), PyTorch (a zip archive or pickle that "
    "torch.save wrote) and gguf (the magic \"GGUF\")";

/// What an unknown file begins with, so that the error says what it might be.
std::string describe_file(Files& files, const std::string& path, std::uint64_t bytes) {
  if (bytes == 0) return "the file is empty";
  const std::vector<std::byte> head = files.read(path, 0, std::min<std::uint64_t>(bytes, 8));
  std::string text = fmt::format("a file of {} bytes that begins with", bytes);
  for (const std::byte byte : head) text += fmt::format(" {:02x}", static_cast<unsigned>(byte));
  return text;
}

std::string describe_directory(Files& files, const std::string& path) {
  constexpr std::size_t kShown = 8;
  const std::vector<std::string> names = files.list(path);
  if (names.empty()) return "the directory is empty";
  const auto shown = static_cast<std::ptrdiff_t>(std::min(names.size(), kShown));
  return fmt::format(
      "a directory without *.safetensors, pytorch_model.bin, lit_model.pth, consolidated.00.pth, "
      ".metadata or *.gguf; it holds {}{}",
      fmt::join(names.begin(), names.begin() + shown, ", "),
      names.size() > kShown ? fmt::format(" and {} more", names.size() - kShown) : "");
}

}  // namespace

std::span<const Format> formats() { return kFormats; }

Catalog open_checkpoint(Files& files, const std::string& path, std::string_view wanted) {
  const std::optional<FileInfo> found = files.stat(path);
  if (!found) fail("{}: no such file or directory", path);
  if (found->kind == FileInfo::Kind::Other) {
    fail("{}: neither a regular file nor a directory", path);
  }
  std::vector<const Format*> claims;
  for (const Format& format : formats()) {
    if (format.detect(files, path)) claims.push_back(&format);
  }
  if (!wanted.empty()) {
    const auto chosen = std::find_if(claims.begin(), claims.end(),
                                     [&](const Format* format) { return format->name == wanted; });
    if (chosen == claims.end()) fail("{}: no checkpoint of the format {}", path, wanted);
    return (*chosen)->open(files, path);
  }
  if (!claims.empty()) {
    Catalog catalog = claims.front()->open(files, path);
    for (const Format* other : std::span(claims).subspan(1)) {
      catalog.other_formats.emplace_back(other->name);
    }
    return catalog;
  }
  fail("{}: no checkpoint of a known format: {}; {}", path,
       found->kind == FileInfo::Kind::Directory ? describe_directory(files, path)
                                                : describe_file(files, path, found->bytes),
       kTried);
}

std::string join_path(std::string_view directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  return fmt::format("{}{}{}", directory, directory.back() == '/' ? "" : "/", name);
}

std::string directory_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return "";
  return std::string(path.substr(0, std::max<std::size_t>(slash, 1)));
}

std::string_view name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_file(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  return found && found->kind == FileInfo::Kind::Regular;
}

bool is_directory(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  return found && found->kind == FileInfo::Kind::Directory;
}

std::uint64_t file_bytes(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  if (!found) fail("{}: no such file", path);
  if (found->kind != FileInfo::Kind::Regular) fail("{}: not a regular file", path);
  return found->bytes;
}

std::vector<std::string> list_with_suffix(Files& files, const std::string& directory,
                                          std::string_view suffix) {
  std::vector<std::string> names = files.list(directory);
  std::erase_if(names, [&](const std::string& name) { return !name.ends_with(suffix); });
  return names;
}

}  // namespace initrt
