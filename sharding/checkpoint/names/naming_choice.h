// Which naming a checkpoint has, of those that are known, and where it has a tensor by that.
#pragma once

#include <cstdint>
#include <string>

#include "sharding/checkpoint/names/names.h"

namespace initrt {

/// Where a checkpoint has a tensor of the graph.
struct Located {
  Stored stored;
  std::int64_t found = -1;  ///< index in the catalog; -1: it has none of that name
  std::int64_t codes = -1;  ///< the same of a weight's codes, where these are there instead
  std::vector<std::uint32_t> pieces = {};  ///< all, where it is in pieces; the first is `found`

  [[nodiscard]] bool is_there() const { return found >= 0 || codes >= 0; }
  /// The tensor of its numbers or of its codes, where it is there.
  [[nodiscard]] std::uint32_t entry() const {
    return static_cast<std::uint32_t>(found >= 0 ? found : codes);
  }
};

/// Looks for a tensor under `canonical`, its name or one of its aliases.
[[nodiscard]] Located locate(const Tensor& tensor, const std::string& canonical, const Graph& graph,
                             const Naming& naming, const StoredNames& names);

/// The naming of a checkpoint: the first with an anchor in it, else Hugging Face's, whose names a
/// message about missing ones should have.
/// @param names gets the prefix that stands before all names; of several, the one behind which the
///        whole model is
/// @throws Error where whole models that differ are behind two prefixes
[[nodiscard]] const Naming& naming_of(const Graph& graph, const Catalog& catalog,
                                      StoredNames& names);

}  // namespace initrt
