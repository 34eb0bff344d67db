// Heads whose rotary pairs are stored as neighbouring rows: canonical row (half, i) of a head is
// its row 2i + half.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sharding/checkpoint/names/names.h"

namespace initrt {

/// Heads of which not all elements are rotated.
struct PartlyRotated {
  std::uint32_t head_size = 0, rotated = 0;  ///< elements
};

/// Each kind of such heads that the graph's attention has, once.
[[nodiscard]] std::vector<PartlyRotated> partly_rotated_heads(const Graph& graph);

/// @param partly those of the graph
/// @param naming has the rows of `tensor`, which is heads, interleaved
/// @throws Error naming the stored tensor where its heads are rotated in part: which of their rows
///         are then pairs is not defined
void check_rotated_whole(const Tensor& tensor, const std::vector<PartlyRotated>& partly,
                         std::string_view naming, const Catalog& catalog, const TensorEntry& entry);

/// Appends the runs of a span's rows. @param whole what the runs have beside their rows
void add_interleaved_rows(const StoredRows& span, const RowRun& whole, const Tensor& tensor,
                          std::vector<RowRun>& runs);

}  // namespace initrt
