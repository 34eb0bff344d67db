// GGUF checkpoints: one file, the pieces of a split one, or a directory that holds either.
#include <algorithm>
#include <cstring>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/gguf_config.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/gguf_header.h"
#include "sharding/checkpoint/piece_name.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kSuffix = ".gguf";

std::string piece_path(const std::string& prefix, std::uint64_t number, std::uint64_t count) {
  return fmt::format("{}-{:05}-of-{:05}{}", prefix, number, count, kSuffix);
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
  const std::optional<PieceName> name = parse_piece_name(path, kSuffix);
  if (!name || name->count != count) {
    fail(
        "{}: a piece of a GGUF file split in {}, but not named so: expected "
        "...-00001-of-{:05}.gguf",
        path, count, count);
  }
  std::uint64_t tensors = 0;  // that all pieces together should have, as the first one says
  for (std::uint64_t number = 1; number <= count; ++number) {
    const std::string piece = piece_path(name->prefix, number, count);
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

/// The one model in a directory: a single file, or the first of pieces that belong together.
std::string file_in(Files& files, const std::string& directory) {
  const std::vector<std::string> names = list_with_suffix(files, directory, kSuffix);
  if (names.empty()) fail("{}: no *.gguf in this directory", directory);
  const auto first = parse_piece_name(names.front(), kSuffix);
  const bool together = std::all_of(names.begin() + 1, names.end(), [&](const std::string& name) {
    const auto piece = parse_piece_name(name, kSuffix);
    return first && piece && piece->prefix == first->prefix && piece->count == first->count;
  });
  if (!together) {
    fail("{}: several GGUF models, name the file of one: {}", directory, fmt::join(names, ", "));
  }
  return join_path(directory, names.front());
}

/// The values of a small tensor that is a parameter of the model, as a header would hold it.
std::vector<float> read_floats(Files& files, const Catalog& catalog, const TensorEntry& tensor) {
  constexpr std::uint64_t kMostElements = 4096;
  if (tensor.dtype != DType::F32 || tensor.elements() > kMostElements) {
    fail("tensor {} is {} of {}, expected F32 of at most {} elements", quote(tensor.name),
         name(tensor.dtype), shape_text(tensor.shape), kMostElements);
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
  const std::string file = directory ? file_in(files, path) : path;
  Catalog catalog;
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
  try {
    catalog.config = config_from_gguf(
        catalog.metadata, catalog.tensors,
        [&](const TensorEntry& tensor) { return read_floats(files, catalog, tensor); });
  } catch (const Error& error) {
    fail("{}: {}", file, error.what());
  }
  return catalog;
}

}  // namespace initrt
