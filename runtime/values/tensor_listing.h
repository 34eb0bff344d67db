// The tensors of a checkpoint as verify goes through them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/names.h"

namespace initrt {

/// One tensor: where it comes from, and what its elements are read as.
struct ListedTensor {
  Tensor tensor;  ///< its shape as [rows, columns]
  std::vector<std::uint64_t> shape;
  Binding binding;
  DType stored = DType::F32;
  /// Float32 for the floating-point types that it holds, float64 for itself, the stored type for
  /// all that is no number by itself.
  DType read_as = DType::F32;
};

/// One tensor as it is stored: `entry` of the catalog, which has this index there.
[[nodiscard]] ListedTensor list_stored(const TensorEntry& entry, std::uint32_t index);

struct TensorListing {
  Catalog catalog;
  std::vector<ListedTensor> tensors;  ///< sorted by name
  bool canonical = false;             ///< the model's, in canonical names and order
  std::size_t left_out = 0;           ///< tensors of the checkpoint that the model does not need
};

/// Opens a checkpoint and lists the tensors of the model, where it says which one of a known family
/// it is, else (and with `stored`) all of them as they are stored.
/// @param format a Format's name, or "" @throws Error where it cannot be opened or bound
[[nodiscard]] TensorListing list_tensors(Files& files, const std::string& path,
                                         const std::string& format, bool stored);

}  // namespace initrt
