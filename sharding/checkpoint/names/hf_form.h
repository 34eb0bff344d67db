// The way back: canonical tensors as a Hugging Face checkpoint of the family stores them.
#pragma once

#include <vector>

#include "sharding/checkpoint/names/names.h"

namespace initrt {

/// A tensor as it is to be stored, and which elements of a checkpoint it is made of.
struct HfTensor {
  Tensor tensor;                     ///< its stored name, and shape as a matrix or vector
  std::vector<std::uint64_t> shape;  ///< as it is stored
  Binding binding;                   ///< of its own rows and columns
};

/// All tensors of a checkpoint that holds the graph's, fused and transposed as the family has them,
/// each where the graph first needs some of it.
[[nodiscard]] std::vector<HfTensor> hf_tensors(const Graph& graph, const Bindings& bindings);

}  // namespace initrt
