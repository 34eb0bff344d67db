// Rows of quantized weights, from files as they lie: what the loader does, one box after another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/convert/dequantize.h"
#include "sharding/checkpoint/catalog.h"

namespace initrt::testing {

/// The bytes of a box of a tensor that is one part without strides.
inline std::vector<std::byte> read_box(Files& files, const Catalog& catalog, const SourceBox& box) {
  const TensorEntry& tensor = catalog.tensors.at(box.tensor);
  const std::uint64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  const std::uint64_t element = info(tensor.dtype).block_bytes;
  std::vector<std::byte> bytes;
  for (std::uint64_t row = 0; row < box.rows; ++row) {
    const std::uint64_t first = (box.row + row) * columns + box.column;
    const std::vector<std::byte> part =
        files.read(catalog.files[tensor.parts.front().file].path,
                   tensor.parts.front().offset + first * element, box.columns * element);
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

/// All rows of a weight, `batch` of them at a time. Boxes lie at odd addresses.
inline std::vector<float> dequantized(Files& files, const Catalog& catalog,
                                      const QuantizedWeight& weight, std::uint64_t batch) {
  std::vector<float> values(weight.rows * weight.columns);
  for (std::uint64_t first = 0; first < weight.rows; first += batch) {
    const std::uint64_t rows = std::min(batch, weight.rows - first);
    std::vector<std::vector<std::byte>> boxes;
    std::vector<std::span<const std::byte>> spans;
    for (const SourceBox& box : source_boxes(weight, first, rows)) {
      boxes.push_back(read_box(files, catalog, box));
      boxes.back().insert(boxes.back().begin(), std::byte{});
    }
    for (const std::vector<std::byte>& box : boxes) spans.push_back(std::span(box).subspan(1));
    dequantize_rows(weight, first, rows, spans, values.data() + first * weight.columns);
  }
  return values;
}

}  // namespace initrt::testing
