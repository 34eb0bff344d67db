#include "sharding/checkpoint/names/quantized.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_tensors.h"
#include "sharding/checkpoint/names/quant_method.h"
#include "sharding/checkpoint/names/unused_tensors.h"
#include "sharding/checkpoint/quantized/find_quantized.h"
#include "sharding/error.h"

namespace initrt {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kNotRead =
    "weights quantized this way are not read: take a checkpoint without quantization, or a GGUF "
    "file";

const std::string& file_of(const Catalog& catalog, const TensorEntry& tensor) {
  return catalog.files[tensor.parts.front().file].path;
}

// The method's name; integers are quantized, even where nothing tells how.
std::string method_of(const TensorEntry* weight, std::span<const Companion> companions,
                      std::string_view said) {
  std::string method = quantization_method(weight, companions, said);
  const bool integers = weight != nullptr && is_integer(weight->dtype);
  if (method.empty() && integers) method = "quantization of a method that is not known here";
  return method;
}

// Fails for a weight that something belongs to.
[[noreturn]] void fail_beside(const Catalog& catalog, const NeededTensor& needed,
                              const TensorEntry* weight, std::span<const Companion> companions,
                              std::string_view said) {
  // Rather the weight's own scale than its input's.
  const auto own =
      std::find_if(companions.begin(), companions.end(), [](const Companion& companion) {
        return companion.leaf.find("weight") != std::string_view::npos;
      });
  const TensorEntry& first = *(own == companions.end() ? companions.front() : *own).tensor;
  const std::string who =
      fmt::format("{}: tensor {} belongs to {}", file_of(catalog, first), quote(first.name),
                  quote(weight == nullptr ? needed.name : std::string_view(weight->name)));
  const bool lora = is_lora(companions);
  const std::string method = method_of(weight, companions, said);
  const bool adapted =
      (weight != nullptr && is_of_adapted_module(weight->name)) ||
      std::any_of(companions.begin(), companions.end(),
                  [](const Companion& companion) { return is_of_adapter(companion.leaf); });
  if (lora || (adapted && method.empty())) {
    fail("{}: {} adapter that is not merged; merge it {}", who, lora ? "a LoRA" : "an",
         kHowToMerge);
  }
  if (method.empty()) {
    fail("{}, which would not be the weight that is meant without it: this is not known here", who);
  }
  fail("{}: {}; {}", who, method, kNotRead);
}

// Fails where an index names what belongs to a weight, and no file holds it.
void refuse_absent_companions(const Catalog& catalog, std::span<const NeededTensor> needed) {
  if (catalog.absent_tensors.empty()) return;
  std::unordered_map<std::string_view, const TensorEntry*> modules;
  std::unordered_set<std::string_view> names;
  for (const NeededTensor& tensor : needed) {
    names.insert(tensor.name);
    if (tensor.found < 0) continue;
    modules.emplace(module_of(tensor.name),
                    &catalog.tensors[static_cast<std::size_t>(tensor.found)]);
  }
  for (const auto& [absent, file] : catalog.absent_tensors) {
    const std::string name = without_wrappers(absent);
    const std::string_view module = module_of(name);
    const auto weight = modules.find(module);
    if (module.empty() || weight == modules.end() || names.contains(name)) continue;
    const std::string_view leaf = std::string_view(name).substr(module.size() + 1);
    if (!changes_weights(leaf) || leaves_plain(weight->second, module, leaf)) continue;
    fail("{}: tensor {}, which the index has in {} and no file holds, belongs to {}: download it",
         catalog.path, quote(absent), quote(file), quote(weight->second->name));
  }
}

// Whether one of a name's components is a number.
bool is_of_block(std::string_view name) {
  while (!name.empty()) {
    const std::string_view component = name.substr(0, name.find('.'));
    if (!component.empty() && component.find_first_not_of("0123456789") == std::string::npos) {
      return true;
    }
    name.remove_prefix(std::min(component.size() + 1, name.size()));
  }
  return false;
}

// Of a catalog's tensors, those that are part of a quantized weight.
std::vector<bool> tensors_of(std::span<const std::shared_ptr<const QuantizedWeight>> weights,
                             const Catalog& catalog) {
  std::vector<bool> parts(catalog.tensors.size(), false);
  for (const auto& weight : weights) {
    if (weight == nullptr) continue;
    for (const QuantComponent& component : weight->components) parts[component.tensor] = true;
  }
  return parts;
}

// Fails where an adapter, or what activations are divided by, lies in modules of its own.
void refuse_apart(const Catalog& catalog, const UnusedTensors& unused,
                  std::span<const NeededTensor> needed, const QuantizedTensors& quantized) {
  const std::vector<bool> known = tensors_of(quantized.weights, catalog);
  std::vector<UnusedTensors::Place> others;
  for (const UnusedTensors::Place& place : unused.sorted()) {
    if (!known[place.tensor] || is_of_adapter(place.name)) others.push_back(place);
  }
  if (others.empty()) return;
  std::unordered_set<std::string_view> modules, parents;
  for (const NeededTensor& tensor : needed) {
    const std::string_view module = module_of(tensor.name);
    modules.insert(module);
    if (is_of_block(tensor.name)) parents.insert(module_of(module));
  }
  for (const auto& [name, index] : others) {
    const TensorEntry& tensor = catalog.tensors[index];
    if (is_of_adapter(name)) {
      fail("{}: tensor {} is of an adapter that is not merged; merge it {}",
           file_of(catalog, tensor), quote(tensor.name), kHowToMerge);
    }
    const std::string_view module = module_of(name);
    const bool of_block = parents.contains(module) || parents.contains(module_of(module));
    if (of_block && !modules.contains(module) && !unused.has_others(name) &&
        scales_activations(name.substr(module.size()))) {
      fail("{}: tensor {} scales what this model computes, which is not known here; {}",
           file_of(catalog, tensor), quote(tensor.name), kNotRead);
    }
  }
}

// Fails for a weight that is not what it is stored as, where nothing lies beside it.
void check_alone(const Catalog& catalog, const TensorEntry& weight, std::string_view said) {
  const auto fail_as = [&](std::string_view what) {
    fail("{}: tensor {} is {} {}: {}; {}", file_of(catalog, weight), quote(weight.name),
         name(weight.dtype), shape_text(weight.shape), what, kNotRead);
  };
  if (is_integer(weight.dtype)) fail_as(method_of(&weight, {}, said));
  if (has_8_bits_or_fewer(weight.dtype) && !said.empty()) {
    fail_as(fmt::format("the config says {}, but no scale is beside it", quote(said)));
  }
}

// How one weight is quantized; null where it is plain.
std::shared_ptr<const QuantizedWeight> find_one(const Catalog& catalog, const UnusedTensors& unused,
                                                const QuantConfig& config,
                                                const NeededTensor& needed, std::string_view said,
                                                std::vector<std::uint32_t>& others) {
  const TensorEntry* const weight =
      needed.found < 0 ? nullptr : &catalog.tensors[static_cast<std::size_t>(needed.found)];
  const std::vector<Companion> companions = unused.beside(needed.name, weight);
  if (companions.empty()) {
    if (weight != nullptr) check_alone(catalog, *weight, said);
    return nullptr;
  }
  const QuantModule module{catalog,        config, needed.name, needed.rows,
                           needed.columns, weight, companions};
  std::optional<FoundQuantized> found = find_quantized(module);
  if (!found) fail_beside(catalog, needed, weight, companions, said);
  others.insert(others.end(), found->others.begin(), found->others.end());
  return std::make_shared<const QuantizedWeight>(std::move(found->weight));
}

std::string text_at(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// Fails where the model's layers quantize the plain weights that they are given, or transform what
// these are multiplied with.
void refuse_changing_layers(const Catalog& catalog) {
  if (!catalog.config.is_object()) return;
  for (const char* key : {"quantization_config", "compression_config"}) {
    const auto said = catalog.config.find(key);
    if (said == catalog.config.end() || !said->is_object()) continue;
    const auto transform = said->find("transform_config");
    if (transform == said->end() || transform->empty()) continue;
    if (transform->is_object() && transform->value("config_groups", Json(1)).empty()) continue;
    fail(
        "{}: the config says that activations are transformed ({}.transform_config): such models "
        "are not read",
        catalog.path, key);
  }
  const auto said = catalog.config.find("quantization_config");
  if (said == catalog.config.end() || !said->is_object()) return;
  if (text_at(*said, "quant_method") != "bitnet") return;
  if (text_at(*said, "quantization_mode") == "online" ||
      text_at(*said, "linear_class") == "autobitlinear") {
    fail("{}: the config says \"bitnet\": its layers quantize plain weights as they are used; {}",
         catalog.path, kNotRead);
  }
}

}  // namespace

std::string quantization_of(const nlohmann::json& config) {
  if (!config.is_object()) return "";
  for (const std::string_view key :
       {kMlxKey, std::string_view("quantization_config"), std::string_view("compression_config")}) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) continue;
    if (!found->is_object()) return std::string(key);
    std::string method = text_at(*found, "quant_method");
    const std::string algorithm = text_at(*found, "quant_algo");
    if (!algorithm.empty()) method += (method.empty() ? "" : " ") + algorithm;
    if (!method.empty()) return method;
    const auto bits = key == kMlxKey ? mlx_bits(config) : std::nullopt;
    return bits ? fmt::format("MLX {}-bit", *bits) : std::string(key);
  }
  return "";
}

QuantizedTensors find_quantized_tensors(const Catalog& catalog, const StoredNames& names,
                                        std::span<const NeededTensor> needed) {
  const UnusedTensors unused(catalog, names, needed);
  const QuantConfig config(catalog.config);
  const std::string said = quantization_of(catalog.config);
  QuantizedTensors tensors;
  tensors.weights.reserve(needed.size());
  // Many experts may be in one tensor, or in codes of one name.
  std::unordered_map<std::string_view, std::uint32_t> codes;
  constexpr std::uint32_t kNone = ~0u;
  std::vector<std::uint32_t> first_of(catalog.tensors.size(), kNone);
  for (std::uint32_t i = 0; i < needed.size(); ++i) {
    const NeededTensor& tensor = needed[i];
    std::uint32_t& first = tensor.found < 0 ? codes.try_emplace(tensor.name, kNone).first->second
                                            : first_of[static_cast<std::size_t>(tensor.found)];
    if (first == kNone) first = i;
    tensors.weights.push_back(first == i
                                  ? find_one(catalog, unused, config, tensor, said, tensors.others)
                                  : tensors.weights[first]);
  }
  refuse_absent_companions(catalog, needed);
  refuse_changing_layers(catalog);
  refuse_apart(catalog, unused, needed, tensors);
  return tensors;
}

}  // namespace initrt
