#include "sharding/checkpoint/foreign_file.h"

#include <algorithm>
#include <array>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kPointer = "version https://git-lfs.github.com/spec/";
constexpr std::string_view kControl = ".aria2";  // aria2 allocates the whole file beforehand

bool starts_with_any_case(std::string_view text, std::string_view start) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return text.size() >= start.size() &&
         std::equal(start.begin(), start.end(), text.begin(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

// What stands between `open` and the next '<'; "" where that is not there.
std::string_view between_tags(std::string_view text, std::string_view open) {
  const std::size_t begin = text.find(open);
  if (begin == std::string_view::npos) return "";
  const std::size_t end = text.find('<', begin + open.size());
  if (end == std::string_view::npos) return "";
  return text.substr(begin + open.size(), end - begin - open.size());
}

// The number behind "size " in a pointer.
std::string_view size_in_pointer(std::string_view text) {
  const std::size_t line = text.find("\nsize ");
  if (line == std::string_view::npos) return "";
  const std::string_view rest = text.substr(line + 6);
  return rest.substr(0, rest.find_first_not_of("0123456789"));
}

}  // namespace

std::string describe_foreign(std::string_view begin) {
  if (begin.starts_with("\xef\xbb\xbf")) begin.remove_prefix(3);
  begin.remove_prefix(std::min(begin.find_first_not_of(" \t\r\n"), begin.size()));
  if (begin.starts_with(kPointer)) {
    const std::string_view size = size_in_pointer(begin);
    return fmt::format(
        "a Git LFS pointer, not the file itself{}: fetch it with \"git lfs pull\" in its "
        "repository, or download it again",
        size.empty() ? "" : fmt::format(", which has {} bytes", size));
  }
  constexpr std::array<std::string_view, 4> kPages = {"<!doctype html", "<html", "<head", "<body"};
  if (std::any_of(kPages.begin(), kPages.end(),
                  [&](std::string_view tag) { return starts_with_any_case(begin, tag); })) {
    const std::string_view title = between_tags(begin, "<title>");
    return fmt::format(
        "an HTML page{}, not the file itself: download it again from the address of the file (a "
        "login or an accepted licence may be asked for)",
        title.empty() ? "" : fmt::format(" ({})", quote(title)));
  }
  if (begin.starts_with("<?xml") || begin.starts_with("<Error>")) {
    const std::string_view code = between_tags(begin, "<Code>");
    if (begin.find("<html") != std::string_view::npos) {
      return "an HTML page, not the file itself: download it again from the address of the file";
    }
    return fmt::format("an XML answer of a server{}, not the file itself: download it again",
                       code.empty() ? "" : fmt::format(" ({})", quote(code)));
  }
  // What servers of models answer in plain text.
  constexpr std::array<std::string_view, 6> kAnswers = {
      "{\"error\"",           "Entry not found",
      "Repository not found", "Invalid username or password",
      "Invalid credentials",  "Access to model "};
  for (const std::string_view answer : kAnswers) {
    if (!starts_with_any_case(begin, answer)) continue;
    return fmt::format("a server's answer ({}), not the file itself: download it again",
                       quote(begin.substr(0, begin.find('\n'))));
  }
  return "";
}

std::string describe_foreign_file(Files& files, const std::string& path) {
  try {
    const std::uint64_t size = std::min(file_bytes(files, path), kForeignBytes);
    const std::vector<std::byte> begin = files.read(path, 0, size);
    return describe_foreign({reinterpret_cast<const char*>(begin.data()), begin.size()});
  } catch (const Error&) {
    return "";
  }
}

void refuse_foreign(Files& files, const std::string& path) {
  const std::string what = describe_foreign_file(files, path);
  if (!what.empty()) throw UnfitCheckpoint(fmt::format("{}: {}", path, what));
}

bool is_partial_download(std::string_view name) {
  constexpr std::array<std::string_view, 8> kEnds = {".incomplete", ".part",       ".partial",
                                                     ".aria2",      ".crdownload", ".download",
                                                     ".filepart",   ".tmp"};
  return std::any_of(kEnds.begin(), kEnds.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

void refuse_partial_download(Files& files, const std::string& path) {
  const std::string control = path + std::string(kControl);
  if (!files.stat(control)) return;
  throw UnfitCheckpoint(fmt::format(
      "{}: an unfinished download, as {} beside it says: finish it, or download it again", path,
      quote(name_of(control))));
}

}  // namespace initrt
