// The parts of a tensor as matrices, which is what the read plan is made from.
#pragma once

#include <cstdint>
#include <functional>

#include "sharding/checkpoint/catalog.h"

namespace initrt {

/// Rows of a source tensor that one part holds, all of the same columns and equally far apart: a
/// part itself, or where it has more than two dimensions and gaps, one of its planes. Rows are
/// counted over all but the last dimension.
struct Plane {
  std::uint32_t file = 0;
  DType dtype = DType::F32;
  std::uint64_t offset = 0;  ///< bytes into the file, of element (row, column)
  std::uint64_t row = 0, rows = 1, row_step = 1;
  std::uint64_t column = 0, columns = 1, column_step = 1;
};

/// Calls `each` for the planes of a part, in the order of their rows: one, where the part has no
/// strides and is not cut within its inner dimensions.
/// @param vector the canonical tensor is one: each element is a row
void for_each_plane(const TensorEntry& source, const TensorPart& part, bool vector,
                    const std::function<void(const Plane&)>& each);

}  // namespace initrt
