// The elements of a stored tensor, found one by one: what the read plan's way is checked against.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "tests/sharding/random_model.h"

namespace initrt::testing {

using Bytes = std::vector<std::byte>;

/// The part that holds the element at `at`, and where in its file.
inline std::pair<std::uint32_t, std::uint64_t> find_element(const TensorEntry& entry,
                                                            const std::vector<std::uint64_t>& at) {
  for (const TensorPart& part : entry.parts) {
    std::uint64_t element = 0;
    bool inside = true;
    for (std::size_t d = 0; d < at.size(); ++d) {
      inside = inside && at[d] >= part.begin[d] && at[d] < part.begin[d] + part.shape[d];
      element += (at[d] - part.begin[d]) * part.strides[d];
    }
    if (inside) return {part.file, part.offset + element * info(entry.dtype).block_bytes};
  }
  ADD_FAILURE() << "no part holds an element of " << entry.name;
  return {};
}

/// All elements of a stored tensor in row-major order, one by one where it is in boxes.
inline Bytes stored_elements(const RandomModel& model, const TensorEntry& entry) {
  if (entry.parts.front().shape.empty()) {
    const auto source =
        std::span(model.files[entry.parts[0].file]).subspan(entry.parts[0].offset, entry.bytes());
    return Bytes(source.begin(), source.end());
  }
  Bytes bytes;
  std::vector<std::uint64_t> at(entry.shape.size(), 0);
  for (std::uint64_t i = 0; i < entry.elements(); ++i) {
    std::uint64_t rest = i;
    for (std::size_t d = at.size(); d-- > 0; rest /= entry.shape[d]) at[d] = rest % entry.shape[d];
    const auto [file, offset] = find_element(entry, at);
    const auto source = model.files[file].begin() + static_cast<std::ptrdiff_t>(offset);
    bytes.insert(bytes.end(), source, source + info(entry.dtype).block_bytes);
  }
  return bytes;
}

}  // namespace initrt::testing
