#include "sharding/checkpoint/weight_map.h"

#include <algorithm>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kMostIndexBytes = 100'000'000;

bool is_utf8(std::string_view text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

}  // namespace

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name.find("..") == std::string_view::npos &&
         name.find('/') == std::string_view::npos && one_line(name) == name && is_utf8(name);
}

WeightMap read_weight_map(Files& files, const std::string& path) {
  const nlohmann::json index = read_json_object(files, path, kMostIndexBytes);
  const auto found = index.find("weight_map");
  if (found == index.end() || !found->is_object()) fail("{}: no object \"weight_map\"", path);
  WeightMap map;
  for (const auto& [tensor, file] : found->items()) {
    if (!file.is_string()) fail("{}: weight_map: {} has no file name", path, quote(tensor));
    const auto& name = file.get_ref<const std::string&>();
    if (!is_plain_file_name(name)) {
      fail("{}: weight_map: {} is in {}, which is not a plain file name", path, quote(tensor),
           quote(name));
    }
    map.emplace(tensor, name);
  }
  if (map.empty()) fail("{}: \"weight_map\" is empty", path);
  return map;
}

std::vector<std::string> files_of(Files& files, const WeightMap& map,
                                  const std::string& index_path) {
  const std::string directory = directory_of(index_path);
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
  return names;
}

bool belongs_to(const WeightMap& map, const std::string& tensor, std::string_view name) {
  const auto placed = map.find(tensor);
  return placed == map.end() || placed->second == name;
}

void check_all_found(const WeightMap& map, const Catalog& catalog, const std::string& index_path) {
  for (const auto& [tensor, name] : map) {
    if (catalog.find(tensor) < 0) {
      fail("{}: tensor {} should be in {}, but is not", index_path, quote(tensor), quote(name));
    }
  }
}

}  // namespace initrt
