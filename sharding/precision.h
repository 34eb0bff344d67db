// The precisions a job can ask for, by the names people know.
#pragma once

#include <optional>
#include <string_view>

#include "sharding/dtype.h"

namespace initrt {

/// Target precision: the dtype of every parameter in a unit and of the KV cache.
/// Activations are float32 on every device; sums are taken in float32.
struct Precision {
  std::string_view name;
  DType dtype = DType::F32;
};

/// "32-true", "bf16-true" or "16-true".
[[nodiscard]] inline std::optional<Precision> precision_from_name(std::string_view name) {
  for (const Precision precision :
       {Precision{"32-true", DType::F32}, Precision{"bf16-true", DType::BF16},
        Precision{"16-true", DType::F16}}) {
    if (precision.name == name) return precision;
  }
  return std::nullopt;
}

}  // namespace initrt
