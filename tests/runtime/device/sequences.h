// Rows of sequences, and the calls that they come in, for tests of ops that keep a state of each.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/runtime/device/devices.h"

namespace initrt::test {

using Order = std::vector<std::size_t>;  // of rows

/// Sequences of these lengths, one behind the other. Slots are in another order, and one is unused.
inline std::vector<RowInfo> rows_of(const std::vector<std::uint32_t>& lengths) {
  std::vector<RowInfo> rows;
  for (std::uint32_t i = 0; i < lengths.size(); ++i) {
    const auto slot = static_cast<std::uint32_t>(lengths.size()) - i;
    for (std::uint32_t p = 0; p < lengths[i]; ++p) rows.push_back({slot, p, lengths[i]});
  }
  return rows;
}

inline Order all_of(const std::vector<RowInfo>& rows) {
  Order order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// Calls in each of which every sequence brings its next few rows.
inline std::vector<Order> in_turns(const std::vector<RowInfo>& rows, std::uint32_t chunk) {
  std::vector<Order> calls;
  for (std::uint32_t begin = 0;; begin += chunk) {
    Order call;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].position >= begin && rows[i].position - begin < chunk) call.push_back(i);
    }
    if (call.empty()) return calls;
    calls.push_back(call);
  }
}

inline std::vector<float> pick(const std::vector<float>& values, const Order& order,
                               std::size_t columns) {
  std::vector<float> picked;
  for (const std::size_t row : order) {
    const auto some = part(values, row * columns, columns);
    picked.insert(picked.end(), some.begin(), some.end());
  }
  return picked;
}

inline void put_back(std::vector<float>& values, const Order& order, std::size_t columns,
                     const std::vector<float>& some) {
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::copy_n(some.begin() + static_cast<std::ptrdiff_t>(i * columns), columns,
                values.begin() + static_cast<std::ptrdiff_t>(order[i] * columns));
  }
}

inline void set_rows(OnDevice& device, const std::vector<RowInfo>& all, const Order& order) {
  std::vector<RowInfo> rows;
  for (const std::size_t row : order) rows.push_back(all[row]);
  device.make_scratch(DType::F32, rows.size(), 1);
  device->set_rows(rows, {});
}

inline std::vector<float> nans(std::size_t count) { return std::vector<float>(count, NAN); }

/// A float32 vector as it is stored.
inline std::vector<std::byte> floats(std::vector<float> values) {
  return stored(values, DType::F32);
}

}  // namespace initrt::test
