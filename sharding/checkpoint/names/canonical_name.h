// Canonical names taken apart, and translated by tables: what the namings share.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sharding/hf_names.h"

namespace initrt {

/// "model.layers.7.self_attn.q_proj.weight" is layer "7", module "self_attn.q_proj", kind "weight";
/// "model.layers.7.mlp.experts.2.up_proj.weight" has module "mlp.experts.*.up_proj", expert "2".
/// Views of the name it was made of, which must outlive it, and of literals.
struct BlockName {
  std::string_view layer;  ///< "" for a name that is of no block
  std::string_view module;
  std::string_view expert;  ///< "" for a module that is of no expert
  std::string_view kind;
};
[[nodiscard]] BlockName parse_block_name(std::string_view canonical);

/// The partner of `key`, or "".
[[nodiscard]] std::string_view find_pair(std::span<const NamePair> table, std::string_view key);

/// The name in a naming of a table, or "" where it has none. A "*" stays where the module is of no
/// expert.
[[nodiscard]] std::string translate(const NameTable& table, std::string_view canonical);

/// A name with a number for its "*".
[[nodiscard]] std::string numbered(std::string name, std::uint64_t number);

}  // namespace initrt
