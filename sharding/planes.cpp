#include "sharding/planes.h"

#include <algorithm>
#include <span>
#include <vector>

namespace initrt {
namespace {

// One dimension of a part.
struct Dimension {
  std::uint64_t begin = 0, size = 1;  // of the part
  std::uint64_t whole = 1;            // of the tensor
  std::uint64_t step = 1;             // elements of the file from one to the next
};

// The dimensions of a part, at least two; none where it is empty. @param vector the canonical
// tensor is one: each element is a row
std::vector<Dimension> dimensions_of(const TensorEntry& source, const TensorPart& part,
                                     bool vector) {
  const std::span<const std::uint64_t> shape = source.shape_of(part);
  if (std::find(shape.begin(), shape.end(), 0u) != shape.end()) return {};
  std::vector<Dimension> dimensions(shape.size());
  std::uint64_t dense = 1;
  for (std::size_t d = shape.size(); d-- > 0; dense *= shape[d]) {
    dimensions[d] = {part.begin.empty() ? 0 : part.begin[d], shape[d], source.shape[d],
                     part.strides.empty() ? dense : part.strides[d]};
  }
  if (vector || shape.empty()) dimensions.emplace_back();                            // one column
  while (dimensions.size() < 2) dimensions.insert(dimensions.begin(), Dimension());  // one row
  return dimensions;
}

// Makes one dimension of two that rows are counted over, where their rows are equally far apart: a
// tensor without strides, of however many dimensions, is one plane.
void merge_rows(std::vector<Dimension>& dimensions) {
  for (std::size_t d = dimensions.size() - 2; d-- > 0;) {
    Dimension& outer = dimensions[d];
    const Dimension inner = dimensions[d + 1];
    const bool all = inner.size == inner.whole;
    const bool even = outer.size == 1 || inner.size == 1 || outer.step == inner.size * inner.step;
    if (!all || !even) continue;
    outer = {outer.begin * inner.size, outer.size * inner.size, outer.whole * inner.size,
             inner.size == 1 ? outer.step : inner.step};
    dimensions.erase(dimensions.begin() + static_cast<std::ptrdiff_t>(d) + 1);
  }
}

}  // namespace

void for_each_plane(const TensorEntry& source, const TensorPart& part, bool vector,
                    const std::function<void(const Plane&)>& each) {
  std::vector<Dimension> dimensions = dimensions_of(source, part, vector);
  if (dimensions.empty()) return;
  merge_rows(dimensions);
  const std::size_t outer = dimensions.size() - 2;
  const Dimension &rows = dimensions[outer], &columns = dimensions[outer + 1];
  // Only plain dtypes have more planes than one.
  const std::uint64_t element_bytes = info(source.dtype).block_bytes;
  std::vector<std::uint64_t> at(outer, 0);  // in the part
  while (true) {
    std::uint64_t row = 0, element = 0;
    for (std::size_t d = 0; d < outer; ++d) {
      row = row * dimensions[d].whole + dimensions[d].begin + at[d];
      element += at[d] * dimensions[d].step;
    }
    each(Plane{part.file, source.dtype, part.offset + element * element_bytes,
               row * rows.whole + rows.begin, rows.size, rows.step, columns.begin, columns.size,
               columns.step});
    std::size_t d = outer;
    while (d > 0 && ++at[d - 1] == dimensions[d - 1].size) at[--d] = 0;
    if (d == 0) return;
  }
}

}  // namespace initrt
