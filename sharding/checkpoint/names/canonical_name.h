// Canonical names taken apart, and translated by tables: what the namings share.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace initrt {

/// A canonical name and another naming's, or parts of them.
using NamePair = std::pair<std::string_view, std::string_view>;

/// "model.layers.7.self_attn.q_proj.weight" is layer "7", module "self_attn.q_proj", kind "weight".
struct BlockName {
  std::string_view layer;  ///< "" for a name that is of no block
  std::string_view module, kind;
};
[[nodiscard]] BlockName parse_block_name(std::string_view canonical);

/// The partner of `key`, or "".
[[nodiscard]] std::string_view find_pair(std::span<const NamePair> table, std::string_view key);

/// How a naming spells canonical names.
struct NameTable {
  std::span<const NamePair> global;    ///< whole names outside of blocks
  std::string_view block_prefix;       ///< e.g. "blk."; the layer follows, and a dot
  std::span<const NamePair> in_block;  ///< modules
};

/// The name in a naming of a table, or "" where it has none.
[[nodiscard]] std::string translate(const NameTable& table, std::string_view canonical);

}  // namespace initrt
