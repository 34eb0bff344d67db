// The part of a read plan that is batches of rows (row_batch.h).
#pragma once

#include <cstdint>

#include "sharding/read_plan.h"

namespace initrt {

/// Rows of a tensor that a rank owns.
struct OwnedRows {
  const Tensor& tensor;
  const Binding& binding;
  std::uint64_t first = 0, count = 0;

  [[nodiscard]] std::uint64_t begin() const { return first * tensor.columns; }
  [[nodiscard]] std::uint64_t end() const { return (first + count) * tensor.columns; }
};

/// Appends reads and pieces, no tasks.
void append_reads(const UnitReads& reads, UnitReads& to);

/// Appends batches of rows that are stored as elements, and follow one another.
/// @param first all these rows: where the first one's codes and scales go, and which it is
/// @throws Error where a row does not fit the limits
void plan_batches(const OwnedRows& owned, const Catalog& catalog, const RowBatch& first,
                  const ParamPlace& place, const ReadLimits& limits, Gaps gaps, UnitReads& plan);

/// The same of rows that are stored quantized, run by run.
void plan_quantized_batches(const OwnedRows& owned, const Catalog& catalog, const RowBatch& first,
                            const ParamPlace& place, const ReadLimits& limits, Gaps gaps,
                            UnitReads& plan);

}  // namespace initrt
