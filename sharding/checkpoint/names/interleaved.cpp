#include "sharding/checkpoint/names/interleaved.h"

#include <algorithm>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/error.h"

namespace initrt {

std::vector<PartlyRotated> partly_rotated_heads(const Graph& graph) {
  std::vector<PartlyRotated> partly;
  for (const Unit& unit : graph.units) {
    for (const Op& op : unit.ops) {
      const auto* rotary = std::get_if<RotaryOp>(&op);
      if (rotary == nullptr) continue;
      const std::uint32_t rotated = graph.rotary[rotary->rotary].dimensions;
      const bool known = std::any_of(partly.begin(), partly.end(), [&](const PartlyRotated& heads) {
        return heads.head_size == rotary->head_size;
      });
      if (rotated < rotary->head_size && !known) partly.push_back({rotary->head_size, rotated});
    }
  }
  return partly;
}

void check_rotated_whole(const Tensor& tensor, const std::vector<PartlyRotated>& partly,
                         std::string_view naming, const Catalog& catalog,
                         const TensorEntry& entry) {
  for (const PartlyRotated& heads : partly) {
    if (tensor.rows != std::uint64_t{heads.head_size} * tensor.rotary_heads) continue;
    fail(
        "{}: tensor {} has rotary pairs as neighbouring rows, as all of {} naming, but the model "
        "config rotates {} of {} elements of a head: expected all of them; which rows are pairs is "
        "not known otherwise",
        catalog.files[entry.parts.front().file].path, quote(entry.name), naming, heads.rotated,
        heads.head_size);
  }
}

void add_interleaved_rows(const StoredRows& span, const RowRun& whole, const Tensor& tensor,
                          std::vector<RowRun>& runs) {
  const std::uint64_t head_rows = tensor.rows / tensor.rotary_heads;
  const std::uint64_t half_rows = head_rows / 2;
  for (std::uint64_t head = 0; head < span.rows; head += head_rows) {
    for (std::uint64_t half = 0; half < 2; ++half) {
      RowRun run = whole;
      run.row = span.row + head + half * half_rows;
      run.rows = half_rows;
      run.source_row = span.stored_row + head + half;
      run.source_stride = 2;
      runs.push_back(run);
    }
  }
}

}  // namespace initrt
