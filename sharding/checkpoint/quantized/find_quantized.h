// How a weight is quantized, by the tensors beside it and by what the model config says.
#pragma once

#include <optional>
#include <vector>

#include "sharding/checkpoint/quantized/quant_module.h"

namespace initrt {

struct FoundQuantized {
  QuantizedWeight weight;
  /// Tensors beside it that change none of its numbers: scales of activations, of KV caches.
  /// Activations are not quantized here, as in the libraries' own ways of dequantizing a model.
  std::vector<std::uint32_t> others;
};

/// Nothing where the method is not one that is read, or something lies beside the weight that is
/// not known. @throws Error where it is one, and a tensor or the config is not as it must be
[[nodiscard]] std::optional<FoundQuantized> find_quantized(const QuantModule& module);

}  // namespace initrt
