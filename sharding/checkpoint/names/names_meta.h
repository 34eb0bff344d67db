// The names of Meta's own LLaMA files, consolidated.NN.pth (github.com/meta-llama/llama, model.py),
// which Mistral's and torchtitan's share. Rotary heads have their halves interleaved, since that
// code rotates neighbouring pairs as complex numbers.
#pragma once

#include "sharding/checkpoint/names/names.h"

namespace initrt {

[[nodiscard]] std::vector<std::string> meta_anchors(const Graph&);
[[nodiscard]] Stored locate_meta(const Tensor& canonical, const Graph&, const StoredNames&);

}  // namespace initrt
