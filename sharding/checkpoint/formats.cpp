// The table of formats, and the choice between them by content.
#include "sharding/checkpoint/formats.h"

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <optional>

#include "sharding/checkpoint/foreign_directory.h"
#include "sharding/checkpoint/foreign_file.h"
#include "sharding/error.h"

namespace initrt {
namespace {

/// The one candidate of a format that has no more.
template <bool (*Detect)(Files&, const std::string&), Catalog (*Open)(Files&, const std::string&)>
std::vector<Candidate> only(Files& files, const std::string& path) {
  if (!Detect(files, path)) return {};
  return {{std::string(name_of(path)), {}, [path](Files& from) { return Open(from, path); }}};
}

constexpr std::array kFormats = {
    Format{"safetensors", safetensors_candidates}, Format{"pytorch", pytorch_candidates},
    Format{"lit", only<detect_lit, open_lit>},     Format{"meta", only<detect_meta, open_meta>},
    Format{"dcp", only<detect_dcp, open_dcp>},     Format{"gguf", only<detect_gguf, open_gguf>},
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

/// A format, and what the path may be in it.
struct Claim {
  const Format* format;
  std::vector<Candidate> candidates;

  /// A candidate for a person: by its files, or by the format where that says enough.
  [[nodiscard]] std::string name(const Candidate& candidate) const {
    return candidates.size() > 1 ? candidate.name : fmt::format("the one in {}", format->name);
  }
};

std::vector<Claim> claims_of(Files& files, const std::string& path, std::string_view wanted) {
  std::vector<Claim> claims;
  for (const Format& format : formats()) {
    if (!wanted.empty() && format.name != wanted) continue;
    std::vector<Candidate> candidates = format.candidates(files, path);
    if (!candidates.empty()) claims.push_back({&format, std::move(candidates)});
  }
  return claims;
}

[[noreturn]] void fail_without_claims(Files& files, const std::string& path, FileInfo info,
                                      std::string_view wanted) {
  if (!wanted.empty()) fail("{}: no checkpoint of the format {}", path, wanted);
  if (info.kind == FileInfo::Kind::Directory) {
    fail("{}: no checkpoint of a known format: {}", path, describe_foreign_directory(files, path));
  }
  refuse_foreign(files, path);
  fail("{}: no checkpoint of a known format: {}; {}", path, describe_file(files, path, info.bytes),
       kTried);
}

/// Whether all files of the candidate are among those of the catalog.
bool is_part_of(const Candidate& candidate, const Catalog& catalog) {
  return !candidate.files.empty() &&
         std::all_of(candidate.files.begin(), candidate.files.end(), [&](const std::string& name) {
           return std::any_of(
               catalog.files.begin(), catalog.files.end(),
               [&](const CheckpointFile& file) { return name_of(file.path) == name; });
         });
}

/// The first candidate that would not do.
struct Failure {
  std::string name, why;
  std::exception_ptr error;
};

/// What a path may be.
struct Choices {
  std::string path;
  bool directory = false;
  std::vector<Claim> claims;
};

/// @throws Error where there is nothing to choose from
Choices choices_of(Files& files, const std::string& path, std::string_view wanted) {
  const std::optional<FileInfo> found = files.stat(path);
  if (!found) fail("{}: no such file or directory", path);
  if (found->kind == FileInfo::Kind::Other) {
    fail("{}: neither a regular file nor a directory", path);
  }
  Choices choices{path, found->kind == FileInfo::Kind::Directory, claims_of(files, path, wanted)};
  if (choices.claims.empty()) fail_without_claims(files, path, *found, wanted);
  return choices;
}

/// One line that says which of several candidates `chosen` is, or "".
std::string describe(const Choices& choices, const Candidate& chosen, const Catalog& catalog,
                     const std::optional<Failure>& failed) {
  const auto is_chosen = [&](const Candidate& candidate) { return &candidate == &chosen; };
  std::string name;
  std::vector<std::string> others;
  for (const Claim& claim : choices.claims) {
    if (std::none_of(claim.candidates.begin(), claim.candidates.end(), is_chosen)) {
      others.push_back(fmt::format("the one in {}", claim.format->name));
      continue;
    }
    const std::size_t before = others.size();
    for (const Candidate& candidate : claim.candidates) {
      if (is_chosen(candidate) || candidate.last_resort || is_part_of(candidate, catalog)) continue;
      others.push_back(candidate.name);
    }
    // Where the format alone tells it from the others, that is shorter.
    const bool alone = others.size() == before && !failed;
    name = alone ? fmt::format("the one in {}", claim.format->name) : claim.name(chosen);
  }
  if (failed) {
    return fmt::format("{}: reading {}, not {} ({})", choices.path, name, failed->name,
                       failed->why);
  }
  if (others.empty() || !choices.directory) return "";
  return fmt::format("{} holds several checkpoints: reading {}, not {}{}", choices.path, name,
                     fmt::join(others, ", nor "), choices.claims.size() > 1 ? " (--format)" : "");
}

/// A damaged file is not passed over: what the user means may be in it.
[[noreturn]] void refuse_damaged(const Error& error, const std::string& chosen) {
  fail("{}; there is another checkpoint, {}: choose it with --format or by its path", error.what(),
       chosen);
}

/// The first candidate that can be opened and passes, or nothing and the first one's failure.
/// @throws Error where that would be read in place of one that is damaged, not just incomplete
std::optional<Catalog> first_that_passes(Files& files, const Choices& choices,
                                         const CatalogCheck& check,
                                         std::optional<Failure>& failed) {
  const auto note = [&](std::string name, const Error& error) {
    if (failed) return;
    const auto* unfit = dynamic_cast<const UnfitCheckpoint*>(&error);
    failed = {std::move(name), unfit != nullptr ? unfit->reason() : error.what(),
              std::current_exception()};
  };
  std::optional<Error> damaged;
  for (const Claim& claim : choices.claims) {
    for (const Candidate& candidate : claim.candidates) {
      std::optional<Catalog> catalog;
      try {
        catalog = candidate.open(files);
      } catch (const Error& error) {
        if (!choices.directory) throw;  // a file that is named must be well-formed itself
        note(claim.name(candidate), error);
        if (!damaged && dynamic_cast<const UnfitCheckpoint*>(&error) == nullptr) damaged = error;
        continue;
      }
      try {
        check(*catalog);
      } catch (const UnfitCheckpoint& error) {
        note(claim.name(candidate), error);
        continue;
      }
      if (damaged) refuse_damaged(*damaged, claim.name(candidate));
      catalog->choice = describe(choices, candidate, *catalog, failed);
      return catalog;
    }
  }
  return std::nullopt;
}

// Files as they were when they were looked at first, before their headers were read.
Catalog with_stamps(Files& files, Catalog catalog) {
  for (CheckpointFile& file : catalog.files) {
    if (const auto found = files.stat(file.path)) file.stamp = found->stamp;
  }
  return catalog;
}

}  // namespace

std::span<const Format> formats() { return kFormats; }

Catalog open_checkpoint(Files& files, const std::string& path, std::string_view wanted,
                        const CatalogCheck& check) {
  const Choices choices = choices_of(files, path, wanted);
  std::optional<Failure> failed;
  if (auto catalog = first_that_passes(files, choices, check, failed)) {
    return with_stamps(files, *std::move(catalog));
  }
  std::rethrow_exception(failed->error);
}

Catalog open_checkpoint(Files& files, const std::string& path, std::string_view wanted) {
  const Choices choices = choices_of(files, path, wanted);
  // What an index names and its files lack, another candidate must have to be the better one.
  std::map<std::string, std::string> lacking;
  const auto is_complete = [&](const Catalog& catalog) {
    lacking.insert(catalog.absent_tensors.begin(), catalog.absent_tensors.end());
    const std::string text = describe_absent(catalog);
    if (!text.empty()) throw UnfitCheckpoint(text);
    for (const auto& [name, file] : lacking) {
      if (catalog.find(name) < 0) throw UnfitCheckpoint(text);
    }
  };
  std::optional<Failure> incomplete, failed;
  if (auto catalog = first_that_passes(files, choices, is_complete, incomplete)) {
    return with_stamps(files, *std::move(catalog));
  }
  const auto any = [](const Catalog&) {};
  if (auto catalog = first_that_passes(files, choices, any, failed)) {
    return with_stamps(files, *std::move(catalog));
  }
  std::rethrow_exception(failed->error);
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

bool may_be_a_file(Files& files, const std::string& directory, const std::string& name) {
  if (name.starts_with('.')) return false;
  try {
    const std::optional<FileInfo> found = files.stat(join_path(directory, name));
    return !found || found->kind == FileInfo::Kind::Regular;
  } catch (const Error&) {
    return true;  // it cannot be examined: reading it says why
  }
}

std::vector<std::string> list_with_suffix(Files& files, const std::string& directory,
                                          std::string_view suffix) {
  std::vector<std::string> names = files.list(directory);
  std::erase_if(names, [&](const std::string& name) {
    return !name.ends_with(suffix) || !may_be_a_file(files, directory, name);
  });
  return names;
}

}  // namespace initrt
