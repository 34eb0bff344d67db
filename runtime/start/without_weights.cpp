#include "runtime/start/without_weights.h"

#include <algorithm>

#include "runtime/model/family.h"
#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/config/model_config.h"
#include "sharding/checkpoint/formats.h"
#include "sharding/checkpoint/names/hf_form.h"
#include "sharding/checkpoint/quantized/stored_form.h"
#include "sharding/checkpoint/weight_map.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

bool is_index(std::string_view path) {
  return path.ends_with(".safetensors.index.json") || path.ends_with(".bin.index.json");
}

// Whether a format finds files of weights in the directory, be they damaged. An index whose files
// are not there is none, whatever else it is left over from.
bool has_weights(Files& files, const std::string& directory) {
  std::vector<Candidate> unknown;  // only opening them says which files they have
  for (const Format& format : formats()) {
    for (Candidate& candidate : format.candidates(files, directory)) {
      if (!candidate.files.empty()) return true;
      unknown.push_back(std::move(candidate));
    }
  }
  return std::any_of(unknown.begin(), unknown.end(), [&](const Candidate& candidate) {
    try {
      return !candidate.open(files).tensors.empty();
    } catch (const UnfitCheckpoint&) {
      return false;
    } catch (const Error&) {
      return true;
    }
  });
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
  const bool index = !inside && is_index(path) && is_file(files, path);
  if (!inside && !index) {
    if (!path.ends_with(".json") || !is_file(files, path)) return {};
    const Json config = read_json_object(files, path);
    if (!config.contains("model_type") && !config.contains("architectures")) return {};
    return path;
  }
  const std::string directory = inside ? path : directory_of(path);
  std::string config = join_path(directory, "config.json");
  if (!is_file(files, config)) return {};
  if (has_weights(files, directory)) return {};
  return config;
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
  const QuantConfig quantization(catalog.config);
  for (const HfTensor& made : hf_tensors(graph, none)) {
    for (StoredTensor& stored : stored_form(quantization, {made.tensor.name, dtype, made.shape})) {
      TensorEntry& entry = catalog.tensors.emplace_back();
      entry.name = std::move(stored.name);
      entry.dtype = stored.dtype;
      entry.shape = std::move(stored.shape);
      entry.parts.emplace_back().offset = bytes;
      bytes += entry.bytes();
    }
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
