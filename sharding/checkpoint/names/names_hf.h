// Hugging Face's names: the canonical ones.
#pragma once

#include "sharding/checkpoint/names/names.h"

namespace initrt {

inline constexpr std::string_view kHfAnchors[] = {"model.embed_tokens.weight", "model.norm.weight"};
[[nodiscard]] Stored locate_hf(const Tensor& canonical, const Graph&, const Catalog&);

/// Those of a model saved without its head: nothing stands before "embed_tokens".
inline constexpr std::string_view kHfBaseAnchors[] = {"embed_tokens.weight"};
[[nodiscard]] Stored locate_hf_base(const Tensor& canonical, const Graph&, const Catalog&);

}  // namespace initrt
