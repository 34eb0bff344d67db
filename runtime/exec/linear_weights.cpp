#include "runtime/exec/linear_weights.h"

#include <algorithm>

namespace initrt {

void add_groups(const LinearProduct& product, std::uint32_t groups, std::uint64_t columns,
                std::uint64_t first_row, std::vector<LinearProduct>& products) {
  if (groups == 1) {
    products.push_back(product);
    return;
  }
  const LinearWeights& weights = product.weights;
  const std::uint64_t group_rows = weights.whole_columns / groups;
  const std::uint64_t row_bytes = bytes_of(weights.dtype, weights.in_columns);
  const std::uint64_t block_rows = weights.block_columns();
  for (std::uint64_t row = 0; row < weights.out_columns;) {
    const std::uint64_t group = (first_row + row) / group_rows;
    const std::uint64_t end = std::min({weights.out_columns, (row / block_rows + 1) * block_rows,
                                        (group + 1) * group_rows - first_row});
    LinearProduct part = product;
    part.weights.weight = weights.weight.row(row, row_bytes);
    if (weights.bias) part.weights.bias = weights.bias.row(row, bytes_of(weights.dtype, 1));
    part.weights.out_columns = end - row;
    part.weights.whole_columns = group_rows;
    part.out = product.out + row;
    part.in_column = group * weights.in_columns;
    part.in_stride = columns;
    products.push_back(part);
    row = end;
  }
}

}  // namespace initrt
