// Safetensors checkpoints: one file, or a Hugging Face directory with or without an index.
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/safetensors_header.h"
#include "sharding/checkpoint/weight_map.h"

namespace initrt {
namespace {

constexpr std::string_view kSuffix = ".safetensors";
constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndexSuffix = ".safetensors.index.json";
constexpr std::string_view kIndex = "model.safetensors.index.json";

bool looks_like_header(Files& files, const std::string& path, std::uint64_t bytes) {
  if (bytes < 9) return false;
  const std::vector<std::byte> head = files.read(path, 0, 9);
  // A header of 2^40 bytes is none; text would have letters in these places.
  const bool short_header =
      head[5] == std::byte{0} && head[6] == std::byte{0} && head[7] == std::byte{0};
  return short_header && head[8] == std::byte{'{'};
}

/// Adds the tensors of `directory`/`name`. With a weight map, a tensor that the map places in
/// another file is left out here: the map decides between copies.
void add_file(Files& files, Catalog& catalog, const std::string& directory, const std::string& name,
              const WeightMap& map) {
  const std::string path = join_path(directory, name);
  SafetensorsHeader header = read_safetensors_header(files, path);
  const auto file = static_cast<std::uint32_t>(catalog.files.size());
  catalog.files.push_back({path, header.file_bytes});
  for (TensorEntry& tensor : header.tensors) {
    if (!belongs_to(map, tensor.name, name)) continue;
    tensor.parts.front().file = file;
    catalog.tensors.push_back(std::move(tensor));
  }
  for (const auto& [key, value] : header.metadata.items()) catalog.metadata.emplace(key, value);
}

Catalog open_files(Files& files, const std::string& path, const std::string& directory,
                   const std::vector<std::string>& names, const WeightMap& map = {}) {
  Catalog catalog;
  catalog.format = "safetensors";
  catalog.path = path;
  catalog.metadata = nlohmann::json::object();
  for (const std::string& name : names) add_file(files, catalog, directory, name, map);
  catalog.finish();
  catalog.config = read_model_config(files, directory, catalog);
  return catalog;
}

Catalog open_index(Files& files, const std::string& path, const std::string& directory,
                   std::string_view index) {
  const std::string index_path = join_path(directory, index);
  const WeightMap map = read_weight_map(files, index_path);
  Catalog catalog = open_files(files, path, directory, files_of(files, map, index_path), map);
  check_all_found(map, catalog, index_path);
  return catalog;
}

}  // namespace

bool detect_safetensors(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  if (!found) return false;
  if (found->kind == FileInfo::Kind::Directory) {
    return is_file(files, join_path(path, kIndex)) ||
           !list_with_suffix(files, path, kSuffix).empty();
  }
  return path.ends_with(kIndexSuffix) || looks_like_header(files, path, found->bytes);
}

Catalog open_safetensors(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  if (!found || found->kind != FileInfo::Kind::Directory) {
    const std::string directory = directory_of(path);
    if (path.ends_with(kIndexSuffix)) return open_index(files, path, directory, name_of(path));
    return open_files(files, path, directory, {std::string(name_of(path))});
  }
  if (is_file(files, join_path(path, kIndex))) return open_index(files, path, path, kIndex);
  if (is_file(files, join_path(path, kSingle))) {
    return open_files(files, path, path, {std::string(kSingle)});
  }
  return open_files(files, path, path, list_with_suffix(files, path, kSuffix));
}

}  // namespace initrt
