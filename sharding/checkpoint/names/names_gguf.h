// GGUF's names (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Standardized tensor
// names"), and its storage order of rotary heads.
#pragma once

#include "sharding/checkpoint/names/names.h"

namespace initrt {

[[nodiscard]] std::vector<std::string> gguf_anchors(const Graph&);
[[nodiscard]] Stored locate_gguf(const Tensor& canonical, const Graph&, const StoredNames& names);

}  // namespace initrt
