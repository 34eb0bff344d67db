// Hugging Face's names: the canonical ones, but for what the graph's family says (Graph::hf_names).
#pragma once

#include "sharding/checkpoint/names/names.h"

namespace initrt {

[[nodiscard]] std::vector<std::string> hf_anchors(const Graph& graph);
[[nodiscard]] Stored locate_hf(const Tensor& canonical, const Graph& graph, const StoredNames&);

/// Those of a model saved without its head: nothing stands before "embed_tokens".
[[nodiscard]] std::vector<std::string> hf_base_anchors(const Graph& graph);
[[nodiscard]] Stored locate_hf_base(const Tensor& canonical, const Graph& graph,
                                    const StoredNames&);

}  // namespace initrt
