#include "launch/model/without_weights.h"

#include <algorithm>

#include "runtime/model/family.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/names/hf_form.h"
#include "sharding/checkpoint/weight_map.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

struct IndexKind {
  std::string_view name, file_suffix;
};
constexpr IndexKind kIndices[] = {{"model.safetensors.index.json", ".safetensors"},
                                  {"pytorch_model.bin.index.json", ".bin"}};

// Whether the directory has an index, and none of the files that such an index names.
bool has_index_alone(Files& files, const std::string& directory) {
  return std::any_of(std::begin(kIndices), std::end(kIndices), [&](const IndexKind& kind) {
    return is_file(files, join_path(directory, kind.name)) &&
           list_with_suffix(files, directory, kind.file_suffix).empty();
  });
}

bool claimed(Files& files, const std::string& path) {
  return std::any_of(formats().begin(), formats().end(),
                     [&](const Format& format) { return !format.candidates(files, path).empty(); });
}

std::optional<DType> torch_dtype(const Json& config) {
  for (const char* key : {"torch_dtype", "dtype"}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_string()) continue;
    if (*found == "float32") return DType::F32;
    if (*found == "bfloat16") return DType::BF16;
    if (*found == "float16") return DType::F16;
    if (*found == "float64") return DType::F64;
  }
  return {};
}

}  // namespace

std::optional<std::string> config_without_weights(Files& files, const std::string& path) {
  const bool inside = is_directory(files, path);
  const bool index = !inside && path.ends_with(".index.json");
  if (!inside && !index) {
    if (!path.ends_with(".json") || !is_file(files, path)) return {};
    const Json config = read_json_object(files, path);
    if (!config.contains("model_type") && !config.contains("architectures")) return {};
    return path;
  }
  const std::string directory = inside ? path : directory_of(path);
  std::string config = join_path(directory, "config.json");
  if (!is_file(files, config)) return {};
  if (has_index_alone(files, directory) || (inside && !claimed(files, path))) return config;
  return {};
}

Catalog catalog_without_weights(Files& files, const std::string& path, const std::string& config,
                                DType silent) {
  Catalog catalog;
  catalog.format = kNoWeights;
  catalog.path = path;
  catalog.metadata = Json::object();
  catalog.config = name_of(config) == "config.json"
                       ? read_model_config(files, directory_of(config), catalog)
                       : text_model_config(read_json_object(files, config));
  const DType dtype = torch_dtype(catalog.config).value_or(silent);
  Graph graph;
  try {
    graph = build_graph(catalog.config);
  } catch (const Error& error) {
    fail("{}: {}", config, error.what());
  }
  Bindings none;
  none.tensors.resize(graph.tensors.size());
  std::uint64_t bytes = 0;
  for (const HfTensor& stored : hf_tensors(graph, none)) {
    TensorEntry& entry = catalog.tensors.emplace_back();
    entry.name = stored.tensor.name;
    entry.dtype = dtype;
    entry.shape = {stored.tensor.rows};
    if (!stored.tensor.vector) entry.shape.push_back(stored.tensor.columns);
    entry.parts.emplace_back().offset = bytes;
    bytes += entry.bytes();
  }
  catalog.files.push_back({config, bytes});
  catalog.finish();
  return catalog;
}

Catalog open_checkpoint_or_config(Files& files, const std::string& path, std::string_view format,
                                  DType silent) {
  if (format.empty()) {
    if (const auto config = config_without_weights(files, path)) {
      return catalog_without_weights(files, path, *config, silent);
    }
  }
  return open_checkpoint(files, path, format);
}

}  // namespace initrt
