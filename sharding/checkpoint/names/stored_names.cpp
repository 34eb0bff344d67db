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
  names_.reserve(catalog.tensors.size());
  for (const TensorEntry& tensor : catalog.tensors) {
    const auto index = static_cast<std::uint32_t>(names_.size());
    names_.push_back(without_wrappers(tensor.name));
    const auto [first, is_new] = index_.emplace(names_.back(), index);
    if (!is_new && !is_same_place(catalog.tensors[first->second], tensor)) {
      others_.emplace(names_.back(), index);
    }
  }
}

std::vector<std::string> StoredNames::prefixes_of(std::string_view anchor) const {
  if (index_.contains(std::string(anchor))) return {""};
  std::vector<std::string> prefixes;
  for (const std::string& name : names_) {
    if (!name.ends_with(anchor)) continue;
    std::string prefix = name.substr(0, name.size() - anchor.size());
    if (prefix.ends_with('.')) prefixes.push_back(std::move(prefix));
  }
  const auto rank = [](const std::string& prefix) {
    return std::tuple(!holds_the_model(prefix), prefix.size(), std::string_view(prefix));
  };
  std::sort(prefixes.begin(), prefixes.end(),
            [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
  if (!prefixes.empty() && holds_the_model(prefixes.front())) prefixes.resize(1);
  return prefixes;
}

std::int64_t StoredNames::find_whole(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) return -1;
  if (const auto other = others_.find(name); other != others_.end()) {
    const TensorEntry& a = catalog_->tensors[found->second];
    const TensorEntry& b = catalog_->tensors[other->second];
    fail("{}: tensors {} and {} are both {} without what wrappers add to names: which is meant?",
         catalog_->files[b.parts.front().file].path, quote(a.name), quote(b.name), quote(name));
  }
  return found->second;
}

std::int64_t StoredNames::find(std::string_view name) const {
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
