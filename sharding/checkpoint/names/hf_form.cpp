#include "sharding/checkpoint/names/hf_form.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/names/names_hf.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// The part of a run that is canonical rows of `span`, at the rows where they are stored.
RowRun part_of(const RowRun& run, const StoredRows& span, std::uint64_t row_step) {
  const std::uint64_t begin = std::max(run.row, span.row);
  const std::uint64_t end = std::min(run.row + run.rows, span.row + span.rows);
  RowRun part = run;
  part.rows = begin < end ? end - begin : 0;
  part.row = span.stored_row + (begin - span.row) * row_step;
  part.source_row = run.source_row + (begin - run.row) * run.source_stride;
  return part;
}

// The same elements of the transpose. Rows that are not neighbours in the source are runs of their
// own: columns have no stride.
void add_transposed(const RowRun& run, std::vector<RowRun>& runs) {
  const std::uint64_t together = run.source_stride == 1 ? run.rows : 1;
  for (std::uint64_t row = 0; row < run.rows; row += together) {
    RowRun part;
    part.source = run.source;
    part.row = run.column;
    part.rows = run.columns;
    part.source_row = run.source_column;
    part.column = run.row + row;
    part.columns = together;
    part.source_column = run.source_row + row * run.source_stride;
    part.transposed = !run.transposed;
    part.add = run.add;
    runs.push_back(part);
  }
}

// A part's rows where they are stored: those that are apart there are runs of their own.
void add_stored(const RowRun& part, const Stored& stored, std::vector<RowRun>& runs) {
  const std::uint64_t together = stored.row_step == 1 ? part.rows : 1;
  for (std::uint64_t row = 0; row < part.rows; row += together) {
    RowRun some = part;
    some.row += row * stored.row_step;
    some.rows = together;
    some.source_row += row * part.source_stride;
    if (stored.transposed) {
      add_transposed(some, runs);
    } else {
      runs.push_back(some);
    }
  }
}

}  // namespace

std::vector<HfTensor> hf_tensors(const Graph& graph, const Bindings& bindings) {
  std::vector<HfTensor> tensors;
  std::unordered_map<std::string, std::size_t> places;
  const StoredNames none;
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    const Tensor& canonical = graph.tensors[i];
    const Stored stored = locate_hf(canonical, graph, none);
    const auto [place, is_new] = places.try_emplace(stored.name, tensors.size());
    if (is_new) {
      Tensor tensor{.name = stored.name,
                    .rows = stored.rows == 0 ? canonical.rows : stored.rows,
                    .columns = stored.columns == 0 ? canonical.columns : stored.columns,
                    .vector = canonical.vector,
                    .float32 = canonical.float32};
      if (stored.transposed) std::swap(tensor.rows, tensor.columns);
      std::vector<std::uint64_t> shape = stored.shape;
      if (shape.empty()) shape = {tensor.rows};
      if (stored.shape.empty() && !tensor.vector) shape.push_back(tensor.columns);
      tensors.push_back({std::move(tensor), std::move(shape), {}});
    }
    Binding& binding = tensors[place->second].binding;
    std::vector<RowRun>& runs = binding.runs;
    if (is_new) binding.quantized = bindings.tensors[i].quantized;
    if (binding.quantized != bindings.tensors[i].quantized) {
      fail("{} would be made of several weights that are quantized: not known here",
           quote(stored.name));
    }
    if (binding.quantized && stored.transposed) {
      fail("{} would be written transposed, which is not done with weights that are quantized",
           quote(stored.name));
    }
    const std::vector<StoredRows> all = {{0, canonical.rows, 0}};
    for (const StoredRows& span : stored.spans.empty() ? all : stored.spans) {
      for (const RowRun& run : bindings.tensors[i].runs) {
        RowRun part = part_of(run, span, stored.row_step);
        part.column += stored.column;
        add_stored(part, stored, runs);
      }
    }
  }
  return tensors;
}

}  // namespace initrt
