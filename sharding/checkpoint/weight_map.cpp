#include "sharding/checkpoint/weight_map.h"

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::uint64_t kMaxIndexBytes = 100'000'000;

bool is_utf8(std::string_view text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

// A file in the index's folder or in one below it.
bool is_below(std::string_view path) {
  while (true) {
    const std::size_t slash = path.find('/');
    if (!is_plain_file_name(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name.find("..") == std::string_view::npos &&
         name.find('/') == std::string_view::npos && one_line(name) == name && is_utf8(name);
}

WeightMap read_weight_map(Files& files, const std::string& path) {
  const nlohmann::json index = read_json_object(files, path, kMaxIndexBytes);
  const auto found = index.find("weight_map");
  if (found == index.end() || !found->is_object()) fail("{}: no object \"weight_map\"", path);
  WeightMap map;
  for (const auto& [tensor, file] : found->items()) {
    if (!file.is_string()) fail("{}: weight_map: {} has no file name", path, quote(tensor));
    const auto& name = file.get_ref<const std::string&>();
    if (!is_below(name)) {
      fail("{}: weight_map: {} is in {}, which is no file of the index's folder or of one below it",
           path, quote(tensor), quote(name));
    }
    map.emplace(tensor, name);
  }
  if (map.empty()) fail("{}: \"weight_map\" is empty", path);
  return map;
}

}  // namespace initrt
