// GGUF checkpoints: one file, the pieces of a split one, or a directory that holds either.
#include <algorithm>
#include <cstring>
#include <utility>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/gguf_config.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/gguf_header.h"
#include "sharding/checkpoint/no_model.h"
#include "sharding/checkpoint/piece_name.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kSuffix = ".gguf";

// The name of a piece of a split file, if it is one.
std::optional<PieceName> parse_gguf_piece(std::string_view name) {
  std::optional<PieceName> piece = parse_piece_name(name);
  if (piece && piece->after != kSuffix) piece.reset();
  return piece;
}

/// An optional count in the metadata. @throws Error where it is not a number from 0 on.
std::uint64_t count_of(const GgufHeader& header, const std::string& path, const char* key,
                       std::uint64_t otherwise) {
  const auto found = header.metadata.find(key);
  if (found == header.metadata.end()) return otherwise;
  // Writers have used signed types for these.
  if (!found->is_number_integer() || (*found < 0)) {
    fail("{}: metadata key {} is not a count", path, quote(key));
  }
  return found->get<std::uint64_t>();
}

void add_piece(Catalog& catalog, const std::string& path, GgufHeader header) {
  const auto file = static_cast<std::uint32_t>(catalog.files.size());
  catalog.files.push_back({path, header.file_bytes});
  for (TensorEntry& tensor : header.tensors) {
    tensor.parts.front().file = file;
    catalog.tensors.push_back(std::move(tensor));
  }
  if (file == 0) catalog.metadata = std::move(header.metadata);
}

/// Reads all pieces of the split file that `path` is a piece of.
void add_split(Files& files, Catalog& catalog, const std::string& path, std::uint64_t count) {
  const std::optional<PieceName> name = parse_gguf_piece(path);
  if (!name || name->count != count) {
    fail(
        "{}: a piece of a GGUF file split in {}, but not named so: expected "
        "...-00001-of-{:05}.gguf",
        path, count, count);
  }
  std::uint64_t tensors = 0;  // that all pieces together should have, as the first one says
  for (std::uint64_t number = 1; number <= count; ++number) {
    const std::string piece = name->name(number);
    if (!files.stat(piece)) fail("{}: missing: piece {} of {} of {}", piece, number, count, path);
    GgufHeader header = read_gguf_header(files, piece);
    const std::uint64_t said = count_of(header, piece, "split.no", count) + 1;
    if (said != number || count_of(header, piece, "split.count", 0) != count) {
      fail("{}: its metadata does not say that it is piece {} of {}", piece, number, count);
    }
    if (number == 1) tensors = count_of(header, piece, "split.tensors.count", 0);
    add_piece(catalog, piece, std::move(header));
  }
  if (tensors != 0 && tensors != catalog.tensors.size()) {
    fail("{}: its pieces hold {} tensors, expected {}", path, catalog.tensors.size(), tensors);
  }
}

/// Whether the file is a model: not a vision projector, an adapter or a calibration matrix.
bool is_model(Files& files, const std::string& path) {
  try {
    return describe_gguf_kind(read_gguf_header(files, path).metadata).empty();
  } catch (const Error&) {
    return true;  // to be told about where it is the only one
  }
}

/// Whether two files are pieces of one model.
bool are_together(const std::string& a, const std::string& b) {
  const auto one = parse_gguf_piece(a), other = parse_gguf_piece(b);
  return one && other && one->cut() == other->cut();
}

/// The models among the files, each by its only or first one.
std::vector<std::string> first_files(const std::vector<std::string>& names) {
  std::vector<std::string> first;
  for (const std::string& name : names) {
    if (first.empty() || !are_together(first.back(), name)) first.push_back(name);
  }
  return first;
}

/// The one model in a directory: a single file, or the first of pieces that belong together.
/// @param notes gets a line about what else is there
std::string file_in(Files& files, const std::string& directory, std::vector<std::string>& notes) {
  const std::vector<std::string> names = first_files(list_with_suffix(files, directory, kSuffix));
  if (names.empty()) fail("{}: no *.gguf in this directory", directory);
  std::vector<std::string> models = names, others;
  if (names.size() > 1) {
    models.clear();
    for (const std::string& name : names) {
      (is_model(files, join_path(directory, name)) ? models : others).push_back(name);
    }
  }
  if (models.empty()) models = std::exchange(others, {});
  if (models.size() > 1) {
    fail("{}: several GGUF models, name the file of one: {}", directory, fmt::join(models, ", "));
  }
  if (!others.empty()) {
    notes.push_back(fmt::format("{}: reading {}, not {}, which {} no model of text", directory,
                                models.front(), fmt::join(others, ", "),
                                others.size() == 1 ? "is" : "are"));
  }
  return join_path(directory, models.front());
}

/// What a program may compute by and this one does not is said.
void note_unread(const std::vector<std::string>& keys, const std::string& file, Catalog& catalog) {
  constexpr std::size_t kShown = 3;
  if (keys.empty()) return;
  std::string names;
  for (std::size_t i = 0; i < std::min(kShown, keys.size()); ++i) {
    names += (i == 0 ? "" : ", ") + quote(keys[i]);
  }
  catalog.notes.push_back(fmt::format("{}: {} metadata key{} not known here: {}{}", file,
                                      keys.size(), keys.size() == 1 ? " is" : "s are", names,
                                      keys.size() > kShown ? ", ..." : ""));
}

/// The values of a small tensor that is a parameter of the model, as a header would hold it.
std::vector<float> read_floats(Files& files, const Catalog& catalog, const TensorEntry& tensor) {
  constexpr std::uint64_t kMaxElements = 4096;
  if (tensor.dtype != DType::F32 || tensor.elements() > kMaxElements) {
    fail("tensor {} is {} of {}, expected F32 of at most {} elements", quote(tensor.name),
         name(tensor.dtype), shape_text(tensor.shape), kMaxElements);
  }
  const TensorPart& part = tensor.parts.front();
  const std::vector<std::byte> bytes =
      files.read(catalog.files[part.file].path, part.offset, tensor.bytes());
  std::vector<float> values(tensor.elements());
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace

bool detect_gguf(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  if (!found) return false;
  if (found->kind == FileInfo::Kind::Directory) {
    return !list_with_suffix(files, path, kSuffix).empty();
  }
  if (found->bytes < 4) return false;
  const std::vector<std::byte> head = files.read(path, 0, 4);
  return std::string_view(reinterpret_cast<const char*>(head.data()), 4) == "GGUF";
}

Catalog open_gguf(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  const bool directory = found && found->kind == FileInfo::Kind::Directory;
  Catalog catalog;
  const std::string file = directory ? file_in(files, path, catalog.notes) : path;
  catalog.format = "gguf";
  catalog.path = path;
  GgufHeader header = read_gguf_header(files, file);
  const std::uint64_t pieces = count_of(header, file, "split.count", 1);
  if (pieces > 1) {
    add_split(files, catalog, file, pieces);
  } else {
    add_piece(catalog, file, std::move(header));
  }
  catalog.finish();
  std::vector<std::string> unread;
  try {
    catalog.config = config_from_gguf(
        catalog.metadata, catalog.tensors,
        [&](const TensorEntry& tensor) { return read_floats(files, catalog, tensor); }, &unread);
  } catch (const Error& error) {
    fail("{}: {}", file, error.what());
  }
  note_unread(unread, file, catalog);
  return catalog;
}

}  // namespace initrt
