// Layout x catalog x rank -> which byte ranges of which files land where in this rank's shard.
// Planned unit by unit, so that the plan of a large model is never held whole.
#pragma once

#include <cstdint>
#include <vector>

#include "sharding/checkpoint/catalog.h"
#include "sharding/checkpoint/names/names.h"
#include "sharding/layout.h"
#include "sharding/reads.h"

namespace initrt {

/// The pieces for canonical elements [begin, end) of one tensor. Element `begin` lands at byte
/// `destination`, the rest behind it in `to`. Appended to `pieces` in no particular order.
void plan_elements(const Tensor& tensor, const Binding& binding, const Catalog& catalog,
                   std::uint64_t begin, std::uint64_t end, std::uint64_t destination, DType to,
                   std::vector<std::pair<std::uint32_t, Piece>>& pieces);

/// Who else reads what lies between a read's pieces: then only what is little is read with them.
enum class Gaps : std::uint8_t {
  OfNobody,
  OfOtherBatches,  ///< of the same rank
  OfOtherRanks,
};

/// Sorts pieces (with the file each is in), splits those larger than `max_read_bytes`, and joins
/// neighbours into reads of at most that size.
[[nodiscard]] UnitReads coalesce(const std::vector<std::pair<std::uint32_t, Piece>>& pieces,
                                 std::uint64_t max_read_bytes, Gaps gaps = Gaps::OfNobody);

/// What is read for canonical rows [first, first + rows) of a tensor that is stored quantized, in
/// batches whose rows are made in `dtype`: `codes` counts from the first of them.
/// @throws Error where a row does not fit the limits
[[nodiscard]] UnitReads plan_quantized_rows(const Tensor& tensor, const Binding& binding,
                                            const Catalog& catalog, std::uint64_t first,
                                            std::uint64_t rows, DType dtype,
                                            const ReadLimits& limits);

/// What rank `rank` reads for unit `unit`, and what is made of it.
/// @throws Error where a row of what is quantized does not fit a staging block
[[nodiscard]] UnitReads plan_reads(const Graph& graph, const Layout& layout, const Cut& cut,
                                   const Bindings& bindings, const Catalog& catalog,
                                   std::uint32_t unit, std::uint32_t rank,
                                   const ReadLimits& limits);

}  // namespace initrt
