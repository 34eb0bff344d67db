#include "sharding/checkpoint/names/quantized.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/foreign_tensors.h"
#include "sharding/checkpoint/names/quant_method.h"
#include "sharding/error.h"

namespace initrt {
namespace {

constexpr std::string_view kNotRead =
    "quantized weights are not read yet: take a checkpoint without quantization, or a GGUF file";

std::string_view module_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return name.substr(0, dot == std::string_view::npos ? 0 : dot);
}

// What an optimizer may keep beside a weight, under its name.
bool is_optimizer_state(std::string_view rest) {
  constexpr std::string_view kStates[] = {"exp_avg",         "exp_avg_sq", "max_exp_avg_sq",
                                          "momentum_buffer", "step",       "master"};
  return std::any_of(std::begin(kStates), std::end(kStates),
                     [&](std::string_view state) { return rest == state; });
}

bool is_integer(DType dtype) { return dtype >= DType::I64 && dtype <= DType::BOOL; }
bool has_8_bits_or_fewer(DType dtype) { return dtype >= DType::F8_E4M3 && dtype <= DType::F4; }

// Whether this beside plain floats is none of theirs: a KV cache's scale, another norm's vector.
bool leaves_plain(const TensorEntry* weight, std::string_view module, std::string_view leaf) {
  if (weight == nullptr || is_integer(weight->dtype) || has_8_bits_or_fewer(weight->dtype)) {
    return false;
  }
  const bool cached = module.ends_with(".k_proj.") || module.ends_with(".v_proj.");
  return (cached && leaf == "output_scale") || (weight->shape.size() == 1 && leaf == "scale");
}

// Tensors of a catalog that nothing needs, by their names without wrappers.
class Unused {
 public:
  Unused(const Catalog& catalog, const StoredNames& names, std::span<const NeededTensor> needed)
      : catalog_(catalog) {
    std::vector<bool> used(catalog.tensors.size(), false);
    for (const NeededTensor& tensor : needed) {
      if (tensor.found >= 0) used[static_cast<std::size_t>(tensor.found)] = true;
    }
    for (std::uint32_t i = 0; i < used.size(); ++i) {
      if (!used[i]) sorted_.push_back({names.name(i), i});
    }
    std::sort(sorted_.begin(), sorted_.end(), by_name);
    note_far_scales(needed);
  }

  /// What belongs to a weight: "X.weight_scale", "X.weight.absmax" and whatever else begins with
  /// its name; and of what is beside it in its module that which changes_weights(), or all of it
  /// where an adapter wraps the module. @param entry the weight's, or null
  [[nodiscard]] std::vector<Companion> beside(std::string_view weight,
                                              const TensorEntry* entry) const {
    std::vector<Companion> found;
    const bool adapted = entry != nullptr && is_of_adapted_module(entry->name);
    const std::string module = std::string(module_of(weight)) + ".";
    const bool has_module = module.size() > 1;
    const std::string_view start = has_module ? std::string_view(module) : weight;
    for (auto at = std::lower_bound(sorted_.begin(), sorted_.end(), Place{start, 0}, by_name);
         at != sorted_.end() && at->name.starts_with(start); ++at) {
      const std::string_view leaf = at->name.substr(has_module ? start.size() : 0);
      const TensorEntry& other = catalog_.tensors[at->tensor];
      const bool adapts = adapted && !is_of_adapted_module(other.name);
      const bool inside =
          has_module && (adapts || (changes_weights(leaf) && !leaves_plain(entry, module, leaf)));
      if (inside || begins_with_its_name(at->name, weight)) {
        found.push_back({leaf, &other});
      }
    }
    const auto far = far_.find(module_of(weight));
    if (found.empty() && far != far_.end()) {
      found.push_back({far->second.name, &catalog_.tensors[far->second.tensor]});
    }
    return found;
  }

 private:
  struct Place {
    std::string_view name;
    std::uint32_t tensor;
  };
  static bool by_name(const Place& a, const Place& b) { return a.name < b.name; }

  // Scales of 8-bit weights that are outside of their modules: "q_proj_scale", "scales.<name>".
  void note_far_scales(std::span<const NeededTensor> needed) {
    std::unordered_set<std::string_view> modules;
    for (const NeededTensor& tensor : needed) {
      if (tensor.found < 0) continue;
      const DType dtype = catalog_.tensors[static_cast<std::size_t>(tensor.found)].dtype;
      if (has_8_bits_or_fewer(dtype)) modules.insert(module_of(tensor.name));
    }
    modules.erase("");
    if (modules.empty()) return;
    for (const Place& place : sorted_) {
      const bool scale = place.name.find("scale") != std::string_view::npos ||
                         place.name.find("zero") != std::string_view::npos;
      if (scale) note_modules_within(place, modules);
    }
  }

  // Looks at parts of the name that begin at a component; a hostile name has millions of them.
  void note_modules_within(const Place& place,
                           const std::unordered_set<std::string_view>& modules) {
    constexpr int kMaxStarts = 16, kMaxEnds = 64;
    std::size_t start = 0;
    for (int i = 0; i < kMaxStarts; ++i) {
      std::size_t end = start;
      for (int j = 0; j < kMaxEnds && end < place.name.size(); ++j) {
        end = std::min(place.name.find_first_of("._:", end + 1), place.name.size());
        const auto module = modules.find(place.name.substr(start, end - start));
        const bool inside = start == 0 && end < place.name.size() && place.name[end] == '.';
        if (module != modules.end() && !inside) far_.emplace(*module, place);
      }
      const std::size_t dot = place.name.find('.', start);
      if (dot == std::string_view::npos) return;
      start = dot + 1;
    }
  }

  static bool begins_with_its_name(std::string_view name, std::string_view weight) {
    constexpr std::string_view kSeparators = "._:";
    return name.size() > weight.size() && name.starts_with(weight) &&
           kSeparators.find(name[weight.size()]) != std::string_view::npos &&
           !is_optimizer_state(name.substr(weight.size() + 1));
  }

  const Catalog& catalog_;
  std::vector<Place> sorted_;
  std::unordered_map<std::string_view, Place> far_;  // the first one of a module
};

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
                  quote(weight == nullptr ? needed.name : weight->name));
  const bool lora = is_lora(companions);
  const std::string method = method_of(weight, companions, said);
  const bool adapted = weight != nullptr && is_of_adapted_module(weight->name);
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
  std::unordered_map<std::string, const TensorEntry*> modules;
  std::unordered_set<std::string_view> names;
  for (const NeededTensor& tensor : needed) {
    names.insert(tensor.name);
    if (tensor.found < 0) continue;
    modules.emplace(module_of(tensor.name),
                    &catalog.tensors[static_cast<std::size_t>(tensor.found)]);
  }
  for (const auto& [absent, file] : catalog.absent_tensors) {
    const std::string name = without_wrappers(absent);
    const std::string module(module_of(name));
    const auto weight = modules.find(module);
    if (module.empty() || weight == modules.end() || names.contains(name)) continue;
    const std::string_view leaf = std::string_view(name).substr(module.size() + 1);
    if (!changes_weights(leaf) || leaves_plain(weight->second, module + ".", leaf)) continue;
    fail("{}: tensor {}, which the index has in {} and no file holds, belongs to {}: {}",
         catalog.path, quote(absent), quote(file), quote(weight->second->name), kNotRead);
  }
}

void check(const Catalog& catalog, const Unused& unused, const NeededTensor& needed,
           std::string_view said) {
  const TensorEntry* const weight =
      needed.found < 0 ? nullptr : &catalog.tensors[static_cast<std::size_t>(needed.found)];
  const std::vector<Companion> companions = unused.beside(needed.name, weight);
  if (!companions.empty()) fail_beside(catalog, needed, weight, companions, said);
  if (weight == nullptr) return;
  const auto fail_as = [&](std::string_view what) {
    fail("{}: tensor {} is {} {}: {}; {}", file_of(catalog, *weight), quote(weight->name),
         name(weight->dtype), shape_text(weight->shape), what, kNotRead);
  };
  if (is_integer(weight->dtype)) fail_as(method_of(weight, {}, said));
  if (has_8_bits_or_fewer(weight->dtype) && !said.empty()) {
    fail_as(fmt::format("the config says {}, but no scale is beside it", quote(said)));
  }
}

std::string text_at(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// Fails where the model's layers quantize the plain weights that they are given.
void refuse_quantizing_layers(const Catalog& catalog) {
  if (!catalog.config.is_object()) return;
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

void refuse_quantized(const Catalog& catalog, const StoredNames& names,
                      std::span<const NeededTensor> needed) {
  const Unused unused(catalog, names, needed);
  const std::string said = quantization_of(catalog.config);
  std::unordered_set<std::string_view> checked;  // many experts may be in one tensor
  for (const NeededTensor& tensor : needed) {
    if (checked.insert(tensor.name).second) check(catalog, unused, tensor, said);
  }
  refuse_absent_companions(catalog, needed);
  refuse_quantizing_layers(catalog);
}

}  // namespace initrt
