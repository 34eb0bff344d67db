// Sequences with queries, keys and values, for tests of attention.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "runtime/device/ops.h"
#include "tests/runtime/device/numbers.h"

namespace initrt::test {

using Order = std::vector<std::size_t>;

/// Every row of some sequences.
struct Case {
  AttentionShape shape;
  DType dtype = DType::F32;
  std::uint32_t context = 0;  ///< positions of the cache
  bool ring = false;
  std::vector<float> sinks;  ///< of heads, or none
  std::vector<RowInfo> rows;
  std::vector<float> q, k, v;

  [[nodiscard]] std::size_t q_columns() const { return shape.heads * shape.head_size; }
  [[nodiscard]] std::size_t kv_columns() const { return shape.kv_heads * shape.head_size; }
  [[nodiscard]] std::size_t out_columns() const { return shape.heads * shape.value(); }
  [[nodiscard]] Order all() const {
    Order order(rows.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    return order;
  }
  /// Of K, or of V: NaN where nothing has been stored.
  [[nodiscard]] std::vector<std::byte> empty_cache() const {
    std::uint32_t sequences = 0;
    for (const RowInfo& row : rows) sequences = std::max(sequences, row.sequence + 1);
    return std::vector<std::byte>(
        bytes_of(dtype, std::uint64_t{sequences} * context * kv_columns()), std::byte{0xff});
  }
};

inline std::vector<float> pick(const std::vector<float>& from, const Order& rows,
                               std::size_t columns) {
  std::vector<float> picked;
  for (const std::size_t row : rows) {
    const auto values = part(from, row * columns, columns);
    picked.insert(picked.end(), values.begin(), values.end());
  }
  return picked;
}

inline std::vector<RowInfo> pick_rows(const Case& c, const Order& rows) {
  std::vector<RowInfo> picked;
  for (const std::size_t row : rows) picked.push_back(c.rows[row]);
  return picked;
}

/// @param lengths of each sequence
inline Case make_case(Random& random, const AttentionShape& shape, DType dtype,
                      const std::vector<std::uint32_t>& lengths) {
  Case c{.shape = shape,
         .dtype = dtype,
         .context = std::ranges::max(lengths) + 1,
         .ring = false,
         .sinks = {},
         .rows = {},
         .q = {},
         .k = {},
         .v = {}};
  for (std::uint32_t s = 0; s < lengths.size(); ++s) {
    for (std::uint32_t p = 0; p < lengths[s]; ++p) c.rows.push_back({s, p, lengths[s]});
  }
  c.q = random.random(c.rows.size() * c.q_columns());
  c.k = random.random(c.rows.size() * c.kv_columns());
  c.v = random.random(c.rows.size() * c.kv_columns());
  return c;
}

}  // namespace initrt::test
