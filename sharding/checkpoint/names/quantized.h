// Weights that are not the numbers that they are stored as: quantized, with scales in tensors of
// their own, or changed by an adapter beside them. Read as they are they would be wrong, so they
// are errors that name the method.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/stored_names.h"

namespace initrt {

/// A tensor that a graph needs: its name without wrappers, and its index in the catalog or -1.
struct NeededTensor {
  std::string name;
  std::int64_t found = -1;
};

/// The quantization that a model config says its checkpoint has, as "fp8" or "MLX 4-bit"; "" for
/// none. What it says need not be so.
[[nodiscard]] std::string quantization_of(const nlohmann::json& config);

/// @throws Error where a tensor that is not needed belongs, by its name, to one that is (a scale, a
///         zero point, an adapter); where a needed one is of integers; and where one is of 8 bits
///         without scales, while the config says that the checkpoint is quantized
void refuse_quantized(const Catalog& catalog, const StoredNames& names,
                      std::span<const NeededTensor> needed);

}  // namespace initrt
