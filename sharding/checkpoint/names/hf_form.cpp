#include "sharding/checkpoint/names/hf_form.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "sharding/checkpoint/checked_json.h"
#include "sharding/checkpoint/name_index.h"
#include "sharding/checkpoint/names/canonical_name.h"
#include "sharding/checkpoint/names/names_hf.h"
#include "sharding/error.h"

namespace initrt {
namespace {

// The part of a run that is canonical rows, and columns, of `span`; without rows where there is
// none.
RowRun part_of(const RowRun& run, const StoredRows& span) {
  const std::uint64_t begin = std::max(run.row, span.row);
  const std::uint64_t end = std::min(run.row + run.rows, span.row + span.rows);
  RowRun part = run;
  part.rows = begin < end ? end - begin : 0;
  part.row = begin;
  part.source_row = run.source_row + (begin - run.row) * run.source_stride;
  if (span.columns == 0) return part;
  const std::uint64_t column = std::max(run.column, span.column);
  const std::uint64_t column_end = std::min(run.column + run.columns, span.column + span.columns);
  if (column >= column_end) part.rows = 0;
  part.column = column;
  part.columns = column_end - column;
  part.source_column = run.source_column + (column - run.column);
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
    part.map = run.map;
    runs.push_back(part);
  }
}

// A part's rows where they are stored: of heads whose row (half, i) is stored at row 2i + half,
// runs of one row.
void add_interleaved(const RowRun& part, const StoredRows& span, const Tensor& tensor,
                     std::vector<RowRun>& runs) {
  const std::uint64_t head_rows = tensor.rows / tensor.rotary_heads, half_rows = head_rows / 2;
  for (std::uint64_t row = 0; row < part.rows; ++row) {
    const std::uint64_t in_span = part.row + row - span.row, in_head = in_span % head_rows;
    RowRun one = part;
    one.row = span.stored_row + in_span - in_head + 2 * (in_head % half_rows) + in_head / half_rows;
    one.rows = 1;
    one.source_row = part.source_row + row * part.source_stride;
    runs.push_back(one);
  }
}

// Whether `next` are the rows that follow `run`'s, in the source too.
bool continues(const RowRun& run, const RowRun& next) {
  const std::uint64_t stride = run.rows > 1 ? run.source_stride : next.source_row - run.source_row;
  return next.source == run.source && next.row == run.row + run.rows &&
         next.source_row > run.source_row &&
         next.source_row == run.source_row + run.rows * stride &&
         std::tie(next.column, next.columns, next.source_column, next.transposed) ==
             std::tie(run.column, run.columns, run.source_column, run.transposed) &&
         next.map == run.map;
}

// Adds a row to the run it follows. @returns whether it does
bool join_row(RowRun& last, const RowRun& next) {
  if (next.rows > 1 || !continues(last, next)) return false;
  if (last.rows == 1) last.source_stride = next.source_row - last.source_row;
  ++last.rows;
  return true;
}

bool is_before_by_rows(const RowRun& a, const RowRun& b) {
  return std::tie(a.column, a.row) < std::tie(b.column, b.row);
}

// The same of columns.
bool join_columns(RowRun& last, const RowRun& next) {
  const auto rows_of = [](const RowRun& run) {
    return std::tie(run.source, run.row, run.rows, run.source_row, run.source_stride,
                    run.transposed);
  };
  const bool follows = next.column == last.column + last.columns &&
                       next.source_column == last.source_column + last.columns &&
                       rows_of(next) == rows_of(last) && next.map == last.map;
  if (follows) last.columns += next.columns;
  return follows;
}

bool is_before_by_columns(const RowRun& a, const RowRun& b) {
  return std::tie(a.row, a.column) < std::tie(b.row, b.column);
}

// Makes one run of neighbours, of the runs from `first` on.
void join_runs(std::vector<RowRun>& runs, std::size_t first,
               bool (*is_before)(const RowRun&, const RowRun&),
               bool (*join)(RowRun&, const RowRun&)) {
  const auto begin = runs.begin() + static_cast<std::ptrdiff_t>(first);
  std::sort(begin, runs.end(), is_before);
  std::vector<RowRun> joined;
  for (auto run = begin; run != runs.end(); ++run) {
    if (joined.empty() || !join(joined.back(), *run)) joined.push_back(*run);
  }
  runs.resize(first);
  runs.insert(runs.end(), joined.begin(), joined.end());
}

// The same of others: rows that are apart there are runs of their own.
void add_stored(const RowRun& part, const StoredRows& span, const Stored& stored,
                std::vector<RowRun>& runs) {
  const std::uint64_t together = stored.row_step == 1 ? part.rows : 1;
  for (std::uint64_t row = 0; row < part.rows; row += together) {
    RowRun some = part;
    some.row = span.stored_row + (part.row - span.row + row) * stored.row_step;
    some.column = some.column - span.column + span.stored_column;
    some.rows = together;
    some.source_row += row * part.source_stride;
    if (stored.transposed) {
      add_transposed(some, runs);
    } else {
      runs.push_back(some);
    }
  }
}

// The stored tensors that a vector is in pieces of.
void add_pieces(const Tensor& canonical, const Stored& stored, const Binding& binding,
                std::vector<HfTensor>& tensors) {
  const std::uint64_t rows = canonical.rows / stored.pieces;
  for (std::uint64_t number = 0; number < stored.pieces; ++number) {
    const Tensor tensor{.name = numbered(stored.name, number),
                        .rows = rows,
                        .vector = true,
                        .float32 = canonical.float32};
    HfTensor& piece = tensors.emplace_back(tensor, tensor.shape(), Binding());
    for (const RowRun& run : binding.runs) {
      RowRun part = part_of(run, {number * rows, rows, 0});
      part.row -= number * rows;
      if (part.rows > 0) piece.binding.runs.push_back(part);
    }
  }
}

// The stored tensor that a canonical one is, or is a part of, made of nothing yet.
HfTensor empty_tensor(const Tensor& canonical, const Stored& stored) {
  Tensor tensor{.name = stored.name,
                .rows = stored.rows == 0 ? canonical.rows : stored.rows,
                .columns = stored.columns == 0 ? canonical.columns : stored.columns,
                .vector = canonical.vector,
                .float32 = canonical.float32,
                .matrix_rows = canonical.matrix_rows};
  if (stored.transposed) std::swap(tensor.rows, tensor.columns);
  std::vector<std::uint64_t> shape = stored.shape.empty() ? tensor.shape() : stored.shape;
  return {std::move(tensor), std::move(shape), {}};
}

// A canonical tensor's part of the stored one. @param part_before the first run of the part that
// was added before
void add_part(const Tensor& canonical, const Stored& stored, const Binding& from,
              std::size_t part_before, std::vector<RowRun>& runs) {
  const bool interleaved = stored.rotary_interleaved && canonical.rotary_heads > 0;
  const std::vector<StoredRows> all = {{0, canonical.rows, 0}};
  for (const StoredRows& span : stored.spans.empty() ? all : stored.spans) {
    for (const RowRun& run : from.runs) {
      const RowRun part = part_of(run, span);
      if (part.rows == 0) continue;
      if (interleaved) {
        add_interleaved(part, span, canonical, runs);
      } else {
        add_stored(part, span, stored, runs);
      }
    }
  }
  if (interleaved) join_runs(runs, 0, is_before_by_rows, join_row);
  if (stored.row_step == 1) return;
  // In turns with the part before: most are neighbours now.
  if (stored.transposed) {
    join_runs(runs, part_before, is_before_by_columns, join_columns);
  } else {
    join_runs(runs, part_before, is_before_by_rows, join_row);
  }
}

bool is_same(const std::shared_ptr<const QuantizedWeight>& a,
             const std::shared_ptr<const QuantizedWeight>& b) {
  return a == b || (a != nullptr && b != nullptr && *a == *b);
}

// Rows of a quantized weight are made as a whole.
void check_whole_rows(const HfTensor& made) {
  for (const RowRun& run : made.binding.runs) {
    if (run.column == 0 && run.columns == made.tensor.columns) continue;
    fail("{} would have rows made of parts of rows, which is not done with quantized weights",
         quote(made.tensor.name));
  }
}

}  // namespace

std::vector<HfTensor> hf_tensors(const Graph& graph, const Bindings& bindings) {
  std::vector<HfTensor> tensors;
  NameIndex places(graph.tensors.size());
  std::vector<std::size_t> last_part;  // by tensor: the first run of its last canonical one
  const StoredNames none;
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    const Tensor& canonical = graph.tensors[i];
    const Stored stored = locate_hf(canonical, graph, none);
    if (stored.pieces > 0) {
      add_pieces(canonical, stored, bindings.tensors[i], tensors);
      last_part.resize(tensors.size(), 0);
      continue;
    }
    const auto next = static_cast<std::uint32_t>(tensors.size());
    const std::uint32_t place = places.insert(stored.name, next, [&](std::uint32_t tensor) {
      return std::string_view(tensors[tensor].tensor.name);
    });
    const bool is_new = place == next;
    if (is_new) {
      tensors.push_back(empty_tensor(canonical, stored));
      last_part.push_back(0);
    }
    Binding& binding = tensors[place].binding;
    std::vector<RowRun>& runs = binding.runs;
    if (is_new) binding.quantized = bindings.tensors[i].quantized;
    if (!is_same(binding.quantized, bindings.tensors[i].quantized)) {
      fail("{} would be made of several weights that are quantized: not known here",
           quote(stored.name));
    }
    std::size_t& last = last_part[place];
    const std::size_t before = std::exchange(last, runs.size());
    add_part(canonical, stored, bindings.tensors[i], before, runs);
    last = std::min(last, runs.size());
  }
  for (const HfTensor& made : tensors) {
    if (made.binding.quantized) check_whole_rows(made);
  }
  return tensors;
}

}  // namespace initrt
