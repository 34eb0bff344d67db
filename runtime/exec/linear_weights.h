// What a device is told of the weights of a product: how they are held, and where.
#pragma once

#include <vector>

#include "runtime/device/ops.h"
#include "sharding/graph.h"
#include "sharding/layout.h"

namespace initrt {

/// @param weight, scales where the parameter's rows and its scales lie; without bias
/// @param out_columns of the rows there
[[nodiscard]] inline LinearWeights linear_weights(const Layout& layout, std::uint32_t unit,
                                                  ParamId param, RowBlocks weight, RowBlocks scales,
                                                  std::uint64_t in_columns,
                                                  std::uint64_t out_columns) {
  const ParamPlace& place = layout.units[unit].params[param];
  LinearWeights weights;
  weights.weight = weight;
  weights.dtype = layout.dtype;
  weights.in_columns = in_columns;
  weights.out_columns = out_columns;
  weights.whole_columns = place.rows;
  weights.format = place.format;
  if (place.scale_row_bytes > 0) weights.scales = scales;
  weights.outlier_threshold = layout.outlier_threshold;
  return weights;
}

/// Appends a product of LinearOp::groups: where there are several, one for each and each block of
/// weights that it has rows in.
/// @param product of all of this weight's rows, of one group's input columns
/// @param columns of inputs, of all groups @param first_row of the whole matrix that is the first
void add_groups(const LinearProduct& product, std::uint32_t groups, std::uint64_t columns,
                std::uint64_t first_row, std::vector<LinearProduct>& products);

}  // namespace initrt
