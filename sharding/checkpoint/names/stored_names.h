// The names of a checkpoint's tensors as the model spells them: without what wrappers of modules
// put into them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/name_index.h"

namespace initrt {

/// A name without the components that wrappers add, wherever they are in it: torch.compile's
/// "_orig_mod", DDP's "module", FSDP's and checkpointing's "_fsdp_wrapped_module", PEFT's
/// "base_layer", ...; only whole components between dots are taken out.
[[nodiscard]] std::string without_wrappers(std::string_view name);

/// The names that a weight's codes have where several of them are packed in a word: "X.qweight" and
/// "X.weight_packed" for "X.weight", "X_blocks" for any other "X".
[[nodiscard]] std::vector<std::string> packed_names(std::string_view weight);
/// The way back.
[[nodiscard]] std::string weight_of_codes(std::string_view codes);

/// A catalog's tensors by their names without wrappers, behind a prefix that they all have.
class StoredNames {
 public:
  /// Of no tensors.
  StoredNames() = default;
  /// Keeps a reference: the catalog, finish()ed, must outlive this.
  explicit StoredNames(const Catalog& catalog);

  [[nodiscard]] bool empty() const { return catalog_ == nullptr || catalog_->tensors.empty(); }

  /// For each of some anchors what stands before it in tensors' names: the one that is meant, or
  /// several that none is likelier of, the shortest first. None where no name ends so.
  [[nodiscard]] std::vector<std::vector<std::string>> prefixes_of(
      std::span<const std::string> anchors) const;

  /// From now on, find() looks behind this prefix.
  void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }
  [[nodiscard]] const std::string& prefix() const { return prefix_; }

  /// Index into Catalog::tensors of the tensor with this name, or -1.
  /// @throws Error where two tensors have it that do not lie in the same place
  [[nodiscard]] std::int64_t find(std::string_view name) const;
  /// The same behind the prefix or, where it is not there, behind one of fewer components: beside
  /// "model.language_model.layers..." the head is "lm_head".
  [[nodiscard]] std::int64_t find_outside(std::string_view name) const;
  /// Whether a tensor of this name is there, or a weight's codes.
  [[nodiscard]] bool has_weight(std::string_view name) const;
  /// The tensor with this name, or null.
  [[nodiscard]] const TensorEntry* entry(std::string_view name) const;

  /// The name of a tensor without wrappers, its prefix included.
  [[nodiscard]] const std::string& name(std::uint32_t tensor) const;
  /// The format's key-value of this name where that is a string, else "".
  [[nodiscard]] std::string_view metadata_text(const char* key) const;

 private:
  [[nodiscard]] std::int64_t find_whole(std::string_view name) const;

  const Catalog* catalog_ = nullptr;
  std::string prefix_;
  std::unordered_map<std::uint32_t, std::string> unwrapped_;  // where that is another name
  NameIndex index_;                                           // of all, where some are
  // Of names that two tensors have: by the first, another that lies elsewhere.
  std::unordered_map<std::uint32_t, std::uint32_t> others_;
};

}  // namespace initrt
