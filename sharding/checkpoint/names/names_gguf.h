// GGUF's names (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Standardized tensor
// names"), and its storage order of rotary heads.
#pragma once

#include "sharding/checkpoint/names/names.h"

namespace initrt {

inline constexpr std::string_view kGgufAnchors[] = {"token_embd.weight", "output_norm.weight",
                                                    "blk.0.attn_q.weight"};
[[nodiscard]] Stored locate_gguf(const Tensor& canonical, const Graph&, const Catalog& catalog);

}  // namespace initrt
