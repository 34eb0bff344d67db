#include "sharding/checkpoint/names/stored_names.h"

#include <algorithm>
#include <tuple>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// Attributes under which wrappers keep the module that they wrap.
constexpr std::string_view kWrappers[] = {
    "_orig_mod",                   // torch.compile
    "module",                      // DDP, DeepSpeed
    "_fsdp_wrapped_module",        // FSDP
    "_checkpoint_wrapped_module",  // activation checkpointing
    "_fpw_module",                 // FSDP, before it was PyTorch's
    "_forward_module",             // Lightning Fabric
    "base_layer",                  // PEFT
};

constexpr std::string_view kBlocks = "_blocks";  // of MXFP4, as gpt-oss has them

bool is_wrapper_component(std::string_view component) {
  return std::find(std::begin(kWrappers), std::end(kWrappers), component) != std::end(kWrappers);
}

// Whether this is what training programs put a model under: it is not an average of it, a teacher
// or a critic, which may be beside it.
bool holds_the_model(std::string_view prefix) {
  constexpr std::string_view kHolders[] = {"model.",     "state_dict.", "model_state_dict.",
                                           "app.model.", "base_model.", "language_model."};
  return std::any_of(std::begin(kHolders), std::end(kHolders),
                     [&](std::string_view holder) { return prefix.starts_with(holder); });
}

// Of all components but the last.
bool has_wrappers(std::string_view name) {
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    if (is_wrapper_component(name.substr(0, dot))) return true;
    name.remove_prefix(dot + 1);
  }
  return false;
}

std::vector<std::string> likeliest(std::vector<std::string> prefixes) {
  const auto rank = [](const std::string& prefix) {
    return std::tuple(!prefix.empty(), !holds_the_model(prefix), prefix.size(),
                      std::string_view(prefix));
  };
  std::sort(prefixes.begin(), prefixes.end(),
            [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
  if (prefixes.empty()) return prefixes;
  if (prefixes.front().empty() || holds_the_model(prefixes.front())) prefixes.resize(1);
  return prefixes;
}

bool is_same_place(const TensorEntry& a, const TensorEntry& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.parts == b.parts;
}

}  // namespace

std::string without_wrappers(std::string_view name) {
  std::string text;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view component = name.substr(begin, end - begin);
    begin = end + 1;
    if (begin <= name.size() && is_wrapper_component(component)) continue;  // the last one stays
    text.append(component);
    if (begin <= name.size()) text += '.';
  }
  return text;
}

std::string weight_of_codes(std::string_view codes) {
  if (codes.ends_with(kBlocks)) return std::string(codes.substr(0, codes.size() - kBlocks.size()));
  return std::string(codes.substr(0, codes.rfind('.'))) + ".weight";
}

std::vector<std::string> packed_names(std::string_view weight) {
  constexpr std::string_view kWeight = ".weight";
  if (!weight.ends_with(kWeight)) return {std::string(weight).append(kBlocks)};
  const std::string module(weight.substr(0, weight.size() - kWeight.size()));
  return {module + ".qweight", module + ".weight_packed"};
}

StoredNames::StoredNames(const Catalog& catalog) : catalog_(&catalog) {
  for (std::uint32_t i = 0; i < catalog.tensors.size(); ++i) {
    const std::string& name = catalog.tensors[i].name;
    if (has_wrappers(name)) unwrapped_.emplace(i, without_wrappers(name));
  }
  if (unwrapped_.empty()) return;  // the catalog finds its names itself
  index_ = NameIndex(catalog.tensors.size());
  const auto name_of = [this](std::uint32_t i) -> std::string_view { return name(i); };
  for (std::uint32_t i = 0; i < catalog.tensors.size(); ++i) {
    const std::uint32_t first = index_.insert(name(i), i, name_of);
    if (first == i) continue;
    if (!is_same_place(catalog.tensors[first], catalog.tensors[i])) others_.emplace(first, i);
  }
}

const std::string& StoredNames::name(std::uint32_t tensor) const {
  if (!unwrapped_.empty()) {
    const auto found = unwrapped_.find(tensor);
    if (found != unwrapped_.end()) return found->second;
  }
  return catalog_->tensors[tensor].name;
}

std::vector<std::vector<std::string>> StoredNames::prefixes_of(
    std::span<const std::string> anchors) const {
  std::vector<std::vector<std::string>> prefixes(anchors.size());
  for (std::uint32_t i = 0; !empty() && i < catalog_->tensors.size(); ++i) {
    const std::string_view name = this->name(i);
    for (std::size_t anchor = 0; anchor < anchors.size(); ++anchor) {
      if (!name.ends_with(anchors[anchor])) continue;
      const std::string_view prefix = name.substr(0, name.size() - anchors[anchor].size());
      if (prefix.empty() || prefix.ends_with('.')) prefixes[anchor].emplace_back(prefix);
    }
  }
  for (std::vector<std::string>& some : prefixes) some = likeliest(std::move(some));
  return prefixes;
}

std::int64_t StoredNames::find_whole(std::string_view name) const {
  if (empty()) return -1;
  if (unwrapped_.empty()) return catalog_->find(name);
  const std::int64_t found =
      index_.find(name, [this](std::uint32_t i) { return std::string_view(this->name(i)); });
  if (found < 0 || others_.empty()) return found;
  const auto first = static_cast<std::uint32_t>(found);
  if (const auto other = others_.find(first); other != others_.end()) {
    const TensorEntry& a = catalog_->tensors[first];
    const TensorEntry& b = catalog_->tensors[other->second];
    fail("{}: tensors {} and {} are both {} without what wrappers add to names: which is meant?",
         catalog_->files[b.parts.front().file].path, quote(a.name), quote(b.name), quote(name));
  }
  return found;
}

std::int64_t StoredNames::find(std::string_view name) const {
  if (prefix_.empty()) return find_whole(name);
  return find_whole(std::string(prefix_).append(name));
}

std::int64_t StoredNames::find_outside(std::string_view name) const {
  constexpr int kMaxComponents = 8;  // that are taken from a prefix: a hostile one has millions
  std::string prefix = prefix_;
  for (int i = 0; i < kMaxComponents; ++i) {
    const std::int64_t found = find_whole(prefix + std::string(name));
    if (found >= 0 || prefix.empty()) return found;
    prefix.pop_back();  // its dot
    prefix.erase(prefix.rfind('.') + 1);
  }
  return -1;
}

bool StoredNames::has_weight(std::string_view name) const {
  if (find(name) >= 0) return true;
  if (empty()) return false;
  const std::vector<std::string> packed = packed_names(name);
  return std::any_of(packed.begin(), packed.end(),
                     [&](const std::string& codes) { return find(codes) >= 0; });
}

const TensorEntry* StoredNames::entry(std::string_view name) const {
  const std::int64_t found = find(name);
  return found < 0 ? nullptr : &catalog_->tensors[static_cast<std::size_t>(found)];
}

std::string_view StoredNames::metadata_text(const char* key) const {
  if (catalog_ == nullptr) return "";
  const auto found = catalog_->metadata.find(key);
  if (found == catalog_->metadata.end() || !found->is_string()) return "";
  return found->get_ref<const std::string&>();
}

}  // namespace initrt
