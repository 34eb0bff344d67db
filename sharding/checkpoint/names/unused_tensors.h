// What lies beside weights, of all that a checkpoint holds and no graph needs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/quant_method.h"
#include "sharding/checkpoint/names/quantized.h"
#include "sharding/checkpoint/names/stored_names.h"

namespace initrt {

/// "a.b" of "a.b.weight"; "" where there is no dot.
[[nodiscard]] std::string_view module_of(std::string_view name);

/// Whether this beside plain floats is none of theirs: a KV cache's scale, another norm's vector.
/// @param module of the weight
[[nodiscard]] bool leaves_plain(const TensorEntry* weight, std::string_view module,
                                std::string_view leaf);

/// Tensors of a catalog that nothing needs, by their names without wrappers.
class UnusedTensors {
 public:
  /// Keeps references: all three must outlive this.
  UnusedTensors(const Catalog& catalog, const StoredNames& names,
                std::span<const NeededTensor> needed);

  /// What belongs to a weight: "X.weight_scale", "X.weight.absmax" and whatever else begins with
  /// its name; and of what is beside it in its module that which changes_weights(), what a module
  /// within it has, or all of it where an adapter wraps the module. Beside a bias that is the
  /// weight's, not the bias's.
  /// @param entry the weight's, or null
  [[nodiscard]] std::vector<Companion> beside(std::string_view weight,
                                              const TensorEntry* entry) const;

  struct Place {
    std::string_view name;
    std::uint32_t tensor;
  };
  /// All of them, by name.
  [[nodiscard]] std::span<const Place> sorted() const { return sorted_; }

  /// Whether a tensor is not alone in its module, as scales of weights that are not needed either.
  [[nodiscard]] bool has_others(std::string_view name) const;

 private:
  // What is needed of a module.
  struct Module {
    bool weight = false;     // its weight, or codes
    bool in_8_bits = false;  // something of eight bits or fewer
  };
  using Modules = std::unordered_map<std::string_view, Module>;
  using FarScales = std::unordered_map<std::string_view, Place>;  // the first one of a module

  static bool by_name(const Place& a, const Place& b) { return a.name < b.name; }

  // Few checkpoints need these: made when first asked for.
  const Modules& modules() const;
  const FarScales& far_scales() const;
  [[nodiscard]] bool is_in_8_bits(std::string_view module) const;
  void note_modules_within(const Place& place, FarScales& far) const;

  const Catalog& catalog_;
  std::span<const NeededTensor> needed_;
  std::vector<Place> sorted_;
  bool any_in_8_bits_ = false;  // of what is needed
  mutable std::optional<Modules> modules_;
  mutable std::optional<FarScales> far_scales_;
};

}  // namespace initrt
