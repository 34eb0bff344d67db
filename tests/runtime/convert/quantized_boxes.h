// Rows of quantized weights, from files as they lie: what the loader does, one box after another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/dequantize.h"
#include "sharding/checkpoint/catalog.h"
#include "sharding/read_plan.h"

namespace initrt::testing {

/// The bytes of a box, by the pieces of a read plan whose dtype is the stored one.
inline std::vector<std::byte> read_box(Files& files, const Catalog& catalog, const SourceBox& box) {
  RowRun run;
  run.source = box.tensor;
  run.rows = box.rows;
  run.source_row = box.row;
  run.columns = box.columns;
  run.source_column = box.column;
  const Tensor tensor{
      .name = catalog.tensors.at(box.tensor).name, .rows = box.rows, .columns = box.columns};
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  plan_elements(tensor, {{run}}, catalog, 0, tensor.elements(), 0, box.dtype, pieces);
  std::vector<std::byte> bytes(box.bytes());
  const UnitReads plan = coalesce(pieces, 1u << 20);
  for (const Read& read : plan.reads) {
    const auto content = files.read(catalog.files[read.file].path, read.offset, read.bytes);
    convert_read(plan, read, content, bytes.data());
  }
  return bytes;
}

/// All rows of a weight: boxes of `batch` rows at a time, of which `at_once` are made at a time.
/// Boxes lie at odd addresses.
inline std::vector<float> dequantized(Files& files, const Catalog& catalog,
                                      const QuantizedWeight& weight, std::uint64_t batch,
                                      std::uint64_t at_once) {
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
    const Dequantizer dequantizer(weight, first, rows, spans);
    for (std::uint64_t row = first; row < first + rows; row += at_once) {
      dequantizer.make(row, std::min(at_once, first + rows - row),
                       values.data() + row * weight.columns);
    }
  }
  return values;
}

}  // namespace initrt::testing
