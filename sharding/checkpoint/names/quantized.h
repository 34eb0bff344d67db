// Weights that are not the numbers that they are stored as: quantized, with scales in tensors of
// their own, or changed by an adapter beside them. Read as they are they would be wrong: either the
// method is known (../quantized), or they are errors that name it.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/stored_names.h"
#include "sharding/checkpoint/quantized/quantized_weight.h"

namespace initrt {

/// A tensor that a graph needs: its name without wrappers, and its index in the catalog or -1.
struct NeededTensor {
  std::string_view name;  ///< someone else's, who must outlive it
  std::int64_t found = -1;
  /// Its shape, [out, in], where it is a matrix that may be quantized; else 0.
  std::uint64_t rows = 0, columns = 0;
};

/// What find_quantized_tensors() found.
struct QuantizedTensors {
  /// As the tensors that are needed; null: plain. Tensors of one name have one.
  std::vector<std::shared_ptr<const QuantizedWeight>> weights;
  std::vector<std::uint32_t>
      others;  ///< of the catalog: beside them, changing none of their numbers
};

/// The quantization that a model config says its checkpoint has, as "fp8" or "MLX 4-bit"; "" for
/// none. What it says need not be so.
[[nodiscard]] std::string quantization_of(const nlohmann::json& config);

/// The weights that are quantized in a way that is read. A packed one is not `found`: its codes
/// have another name (packed_names()).
/// @throws Error where a tensor that is not needed belongs, by its name, to one that is (a scale, a
///         zero point, an adapter), and does not make it one of those; where a needed one is of
///         integers; where one is of 8 bits without scales, while the config says that the
///         checkpoint is quantized; and where a quantized one is not as it must be
[[nodiscard]] QuantizedTensors find_quantized_tensors(const Catalog& catalog,
                                                      const StoredNames& names,
                                                      std::span<const NeededTensor> needed);

}  // namespace initrt
