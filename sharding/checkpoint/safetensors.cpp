// Safetensors checkpoints: one file, or a Hugging Face directory with or without an index.
#include <algorithm>
#include <map>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/safetensors_header.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kSuffix = ".safetensors";
constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndexSuffix = ".safetensors.index.json";
constexpr std::string_view kIndex = "model.safetensors.index.json";

using WeightMap = std::map<std::string, std::string>;  // tensor name -> file name

bool is_file(Files& files, const std::string& path) {
  const std::optional<FileInfo> found = files.stat(path);
  return found && found->kind == FileInfo::Kind::Regular;
}

bool looks_like_header(Files& files, const std::string& path, std::uint64_t bytes) {
  if (bytes < 9) return false;
  const std::vector<std::byte> head = files.read(path, 0, 9);
  // A header of 2^40 bytes is none; text would have letters in these places.
  const bool short_header =
      head[5] == std::byte{0} && head[6] == std::byte{0} && head[7] == std::byte{0};
  return short_header && head[8] == std::byte{'{'};
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

WeightMap read_weight_map(Files& files, const std::string& path) {
  const nlohmann::json index = read_json_object(files, path, 100'000'000);
  const auto found = index.find("weight_map");
  if (found == index.end() || !found->is_object()) fail("{}: no object \"weight_map\"", path);
  WeightMap map;
  for (const auto& [tensor, file] : found->items()) {
    if (!file.is_string()) fail("{}: weight_map: {} has no file name", path, quote(tensor));
    const auto& name = file.get_ref<const std::string&>();
    // An index must not lead out of its own directory, nor break an error's line.
    if (name.empty() || name == "." || name.find("..") != std::string::npos ||
        name.find('/') != std::string::npos || std::any_of(name.begin(), name.end(), is_control)) {
      fail("{}: weight_map: {} is in {}, which is not a plain file name", path, quote(tensor),
           quote(name));
    }
    map.emplace(tensor, name);
  }
  if (map.empty()) fail("{}: \"weight_map\" is empty", path);
  return map;
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
    const auto placed = map.find(tensor.name);
    if (placed != map.end() && placed->second != name) continue;
    tensor.parts.front().file = file;
    catalog.tensors.push_back(std::move(tensor));
  }
  for (const auto& [key, value] : header.metadata.items()) catalog.metadata.emplace(key, value);
}

/// The model's config.json with generation_config.json under "generation_config"; null without one.
nlohmann::json read_config(Files& files, const std::string& directory) {
  const std::string path = join_path(directory, "config.json");
  if (!is_file(files, path)) return nullptr;
  nlohmann::json config = read_json_object(files, path);
  const std::string generation = join_path(directory, "generation_config.json");
  if (is_file(files, generation)) config["generation_config"] = read_json_object(files, generation);
  return config;
}

Catalog open_files(Files& files, const std::string& path, const std::string& directory,
                   const std::vector<std::string>& names, const WeightMap& map = {}) {
  Catalog catalog;
  catalog.format = "safetensors";
  catalog.path = path;
  catalog.metadata = nlohmann::json::object();
  for (const std::string& name : names) add_file(files, catalog, directory, name, map);
  catalog.config = read_config(files, directory);
  catalog.finish();
  return catalog;
}

Catalog open_index(Files& files, const std::string& path, const std::string& directory,
                   std::string_view index) {
  const std::string index_path = join_path(directory, index);
  const WeightMap map = read_weight_map(files, index_path);
  std::vector<std::string> names;
  for (const auto& [tensor, name] : map) names.push_back(name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& name : names) {
    if (!is_file(files, join_path(directory, name))) {
      fail("{}: {} is missing, which the index {} names", directory.empty() ? "." : directory,
           quote(name), index_path);
    }
  }
  Catalog catalog = open_files(files, path, directory, names, map);
  for (const auto& [tensor, name] : map) {
    if (catalog.find(tensor) < 0) {
      fail("{}: tensor {} should be in {}, but is not", index_path, quote(tensor), quote(name));
    }
  }
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
