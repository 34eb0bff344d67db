#include "sharding/checkpoint/names/unused_tensors.h"

#include <algorithm>

#include "sharding/checkpoint/foreign_tensors.h"

namespace initrt {
namespace {

// What an optimizer may keep beside a weight, under its name.
bool is_optimizer_state(std::string_view rest) {
  constexpr std::string_view kStates[] = {"exp_avg",         "exp_avg_sq", "max_exp_avg_sq",
                                          "momentum_buffer", "step",       "master"};
  return std::any_of(std::begin(kStates), std::end(kStates),
                     [&](std::string_view state) { return rest == state; });
}

bool begins_with_its_name(std::string_view name, std::string_view weight) {
  constexpr std::string_view kSeparators = "._:";
  return name.size() > weight.size() && name.starts_with(weight) &&
         kSeparators.find(name[weight.size()]) != std::string_view::npos &&
         !is_optimizer_state(name.substr(weight.size() + 1));
}

// Whether a name within a module is another module's within it.
bool is_of_module_within(std::string_view leaf) {
  return leaf.find('.') != std::string_view::npos && !leaf.starts_with("weight.") &&
         !leaf.starts_with("bias.");
}

}  // namespace

std::string_view module_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return name.substr(0, dot == std::string_view::npos ? 0 : dot);
}

bool leaves_plain(const TensorEntry* weight, std::string_view module, std::string_view leaf) {
  if (weight == nullptr || is_integer(weight->dtype) || has_8_bits_or_fewer(weight->dtype)) {
    return false;
  }
  const bool cached = module.ends_with(".k_proj") || module.ends_with(".v_proj");
  return (cached && leaf == "output_scale") || (weight->shape.size() == 1 && leaf == "scale");
}

UnusedTensors::UnusedTensors(const Catalog& catalog, const StoredNames& names,
                             std::span<const NeededTensor> needed)
    : catalog_(catalog), needed_(needed) {
  std::vector<bool> used(catalog.tensors.size(), false);
  for (const NeededTensor& tensor : needed) {
    if (tensor.found < 0) continue;
    const auto index = static_cast<std::size_t>(tensor.found);
    used[index] = true;
    any_in_8_bits_ = any_in_8_bits_ || has_8_bits_or_fewer(catalog.tensors[index].dtype);
  }
  for (std::uint32_t i = 0; i < used.size(); ++i) {
    if (!used[i]) sorted_.push_back({names.name(i), i});
  }
  std::sort(sorted_.begin(), sorted_.end(), by_name);
}

const UnusedTensors::Modules& UnusedTensors::modules() const {
  if (modules_) return *modules_;
  modules_.emplace(needed_.size());
  for (const NeededTensor& tensor : needed_) {
    Module& module = (*modules_)[module_of(tensor.name)];
    // Codes of another name are one of several in their module, as all experts' projections are.
    if (tensor.name.ends_with(".weight") || tensor.found < 0) module.weight = true;
    if (tensor.found < 0) continue;
    const DType dtype = catalog_.tensors[static_cast<std::size_t>(tensor.found)].dtype;
    if (has_8_bits_or_fewer(dtype)) module.in_8_bits = true;
  }
  return *modules_;
}

std::vector<Companion> UnusedTensors::beside(std::string_view weight,
                                             const TensorEntry* entry) const {
  std::vector<Companion> found;
  const bool adapted = entry != nullptr && is_of_adapted_module(entry->name);
  const std::string_view module = module_of(weight);
  const bool is_weight = weight.ends_with(".weight");
  const auto is_first = [&] {  // of its module
    if (is_weight) return true;
    const auto needed = modules().find(module);
    return needed == modules().end() || !needed->second.weight;
  };
  const std::string_view start = module.empty() ? weight : weight.substr(0, module.size() + 1);
  for (auto at = std::lower_bound(sorted_.begin(), sorted_.end(), Place{start, 0}, by_name);
       at != sorted_.end() && at->name.starts_with(start); ++at) {
    const std::string_view leaf = at->name.substr(module.empty() ? 0 : start.size());
    const TensorEntry& other = catalog_.tensors[at->tensor];
    const bool adapts = adapted && !is_of_adapted_module(other.name);
    const bool within = is_weight && is_of_module_within(leaf);
    const bool inside =
        !module.empty() &&
        (adapts || within || (changes_weights(leaf) && !leaves_plain(entry, module, leaf)));
    if ((inside && is_first()) || begins_with_its_name(at->name, weight)) {
      found.push_back({leaf, &other});
    }
  }
  if (!found.empty() || !any_in_8_bits_ || !is_in_8_bits(module) || !is_first()) return found;
  if (const auto far = far_scales().find(module); far != far_scales().end()) {
    found.push_back({far->second.name, &catalog_.tensors[far->second.tensor]});
  }
  return found;
}

bool UnusedTensors::has_others(std::string_view name) const {
  const std::string start = std::string(module_of(name)) + ".";
  auto at = std::lower_bound(sorted_.begin(), sorted_.end(), Place{start, 0}, by_name);
  if (at != sorted_.end() && at->name == name) ++at;
  return at != sorted_.end() && at->name.starts_with(start);
}

bool UnusedTensors::is_in_8_bits(std::string_view module) const {
  if (module.empty()) return false;
  const auto found = modules().find(module);
  return found != modules().end() && found->second.in_8_bits;
}

// Scales of 8-bit weights that are outside of their modules: "q_proj_scale", "scales.<name>".
const UnusedTensors::FarScales& UnusedTensors::far_scales() const {
  if (far_scales_) return *far_scales_;
  far_scales_.emplace();
  for (const Place& place : sorted_) {
    const bool scale = place.name.find("scale") != std::string_view::npos ||
                       place.name.find("zero") != std::string_view::npos;
    if (scale && !is_in_8_bits(module_of(place.name))) note_modules_within(place, *far_scales_);
  }
  return *far_scales_;
}

// Looks at parts of the name that begin at a component; a hostile name has millions of them.
void UnusedTensors::note_modules_within(const Place& place, FarScales& far) const {
  constexpr int kMaxStarts = 16, kMaxEnds = 64;
  std::size_t start = 0;
  for (int i = 0; i < kMaxStarts; ++i) {
    std::size_t end = start;
    for (int j = 0; j < kMaxEnds && end < place.name.size(); ++j) {
      end = std::min(place.name.find_first_of("._:", end + 1), place.name.size());
      const std::string_view module = place.name.substr(start, end - start);
      const bool inside = start == 0 && end < place.name.size() && place.name[end] == '.';
      if (!inside && is_in_8_bits(module)) far.emplace(module, place);
    }
    const std::size_t dot = place.name.find('.', start);
    if (dot == std::string_view::npos) return;
    start = dot + 1;
  }
}

}  // namespace initrt
