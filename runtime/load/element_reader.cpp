#include "runtime/load/element_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/convert/batch.h"
#include "runtime/convert/convert.h"
#include "sharding/checked.h"
#include "sharding/read_plan.h"

namespace initrt {
namespace {

constexpr std::uint64_t kBlockBytes = 8u << 20;
constexpr std::uint64_t kRowsOfColumnsBytes = 32u << 20;

// Whether the file has the columns of what a run is of one after the other.
bool has_columns_together(const RowRun& run, const TensorEntry& entry) {
  return std::any_of(entry.parts.begin(), entry.parts.end(), [&](const TensorPart& part) {
    const bool columns_first = part.strides.size() == 2 && part.strides[0] < part.strides[1];
    return columns_first != run.transposed;
  });
}

// The most rows, up to `most`, that divide a run's evenly, or are those of several.
std::uint64_t even_rows(const RowRun& run, std::uint64_t most) {
  if (run.rows <= most) return most / run.rows * run.rows;
  std::uint64_t parts = divide_up(run.rows, most);
  while (run.rows % parts != 0) ++parts;
  return run.rows / parts;
}

// A matrix's elements, of `Bytes` bytes each, to their places in one that has its rows as columns.
// In tiles: what is written together is some elements of a cache line.
template <std::size_t Bytes>
void transpose(const std::byte* in, std::uint64_t in_columns, std::uint64_t rows,
               std::uint64_t columns, std::byte* out, std::uint64_t out_columns) {
  constexpr std::uint64_t kTile = 64;
  for (std::uint64_t top = 0; top < rows; top += kTile) {
    const std::uint64_t bottom = std::min(rows, top + kTile);
    for (std::uint64_t column = 0; column < columns; ++column) {
      for (std::uint64_t row = top; row < bottom; ++row) {
        std::memcpy(out + (column * out_columns + row) * Bytes,
                    in + (row * in_columns + column) * Bytes, Bytes);
      }
    }
  }
}

}  // namespace

ElementReader::ElementReader(const Catalog& catalog, std::function<void()> on_read)
    : catalog_(catalog),
      on_read_(std::move(on_read)),
      block_(allocate_host_memory(ledger_, MemoryCategory::Staging, kBlockBytes)) {
  for (const CheckpointFile& file : catalog.files) {
    files_.push_back(std::make_unique<FileReader>(file.path, file.bytes, statistics_, file.stamp));
  }
}

std::uint64_t ElementReader::elements_at_once(const Binding& binding, DType to) const {
  if (binding.quantized) {
    const RowRun& run = binding.runs.front();
    const std::uint64_t rows =
        std::max<std::uint64_t>(kRowsOfColumnsBytes / bytes_of(to, run.columns), 1);
    return (run.transposed ? even_rows(run, rows) : rows) * run.columns;
  }
  const bool columns = std::any_of(
      binding.runs.begin(), binding.runs.end(),
      [&](const RowRun& run) { return has_columns_together(run, catalog_.tensors[run.source]); });
  const DTypeInfo& type = info(to);
  return (columns ? kRowsOfColumnsBytes : kBlockBytes) / type.block_bytes * type.block_elements;
}

void ElementReader::read(const Tensor& tensor, const Binding& binding, std::uint64_t begin,
                         std::uint64_t end, DType to, std::span<std::byte> out) {
  if (binding.quantized) {
    read_quantized(tensor, binding, begin, end, to, out);
    return;
  }
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  plan_elements(tensor, binding, catalog_, begin, end, 0, to, pieces);
  const UnitReads reads = coalesce(pieces, kBlockBytes - 2 * kBlockAlignment);
  for (const Read& read : reads.reads) {
    if (on_read_) on_read_();
    const auto bytes = files_[read.file]->read(read.offset, read.bytes, block_.span());
    convert_read(reads, read, bytes, out.data());
  }
}

// A weight that is stored quantized, as if it were a tensor of its own.
struct ElementReader::AsStored {
  Tensor tensor;
  Binding binding;

  AsStored(const Tensor& canonical, const Binding& of)
      : tensor{.name = canonical.name,
               .rows = of.quantized->rows,
               .columns = of.quantized->columns},
        binding{
            {{.source = of.runs.front().source, .rows = tensor.rows, .columns = tensor.columns}},
            of.quantized} {}

  // That are made at once.
  [[nodiscard]] std::uint64_t rows_at_once(DType to) const {
    return std::max<std::uint64_t>(kBlockBytes / bytes_of(to, tensor.columns), 1);
  }
};

// Rows [begin, end) of a canonical tensor, of columns that are one run's.
struct ElementReader::PartOfRun {
  const RowRun& run;
  std::uint64_t begin = 0, end = 0;
  std::byte* out = nullptr;   // of row `begin`
  std::uint64_t columns = 0;  // of all runs

  // What `begin` is of the run's source.
  [[nodiscard]] std::uint64_t source() const {
    return run.source_row + (begin - run.row) * run.source_stride;
  }
};

void ElementReader::read_quantized(const Tensor& tensor, const Binding& binding,
                                   std::uint64_t begin, std::uint64_t end, DType to,
                                   std::span<std::byte> out) {
  if (begin == end) return;
  const std::uint64_t columns = tensor.columns;
  const std::uint64_t first = begin / columns, rows = (end - 1) / columns + 1 - first;
  const bool whole = begin % columns == 0 && end % columns == 0;
  if (!whole) rows_.resize(bytes_of(to, rows * columns));
  std::byte* const place = whole ? out.data() : rows_.data();
  const AsStored weight(tensor, binding);
  for (const RowRun& run : binding.runs) {
    PartOfRun part{run, std::max(run.row, first), std::min(run.row + run.rows, first + rows)};
    if (part.begin >= part.end) continue;
    part.out = place + bytes_of(to, (part.begin - first) * columns);
    part.columns = columns;
    if (run.transposed) {
      read_columns(weight, part, to);
    } else {
      read_rows(weight, part, to);
    }
  }
  if (!whole) {
    std::copy_n(place + bytes_of(to, begin - first * columns), bytes_of(to, end - begin),
                out.data());
  }
}

// Rows of the weight as it is stored.
void ElementReader::make_rows(const AsStored& weight, std::uint64_t first, std::uint64_t rows,
                              DType to, std::byte* out) {
  const std::uint64_t half = kBlockBytes / 2;
  const ReadLimits limits{half - 2 * kBlockAlignment, half - 2 * kBlockAlignment, half};
  const UnitReads plan =
      plan_quantized_rows(weight.tensor, weight.binding, catalog_, first, rows, to, limits);
  for (const ReadTask& task : plan.tasks) {
    for (std::uint32_t i = 0; i < task.reads; ++i) {
      if (on_read_) on_read_();
      const Read& read = plan.reads[task.first_read + i];
      const auto bytes =
          files_[read.file]->read(read.offset, read.bytes, block_.span().first(half));
      convert_batch_read(plan, task, read, bytes, block_.span().subspan(half), out);
    }
  }
}

// Rows that are apart are made with what lies between them: a request for each would take longer.
void ElementReader::read_rows(const AsStored& weight, const PartOfRun& part, DType to) {
  const std::uint64_t step = part.run.source_stride;
  if (step == 1) {
    make_rows(weight, part.source(), part.end - part.begin, to, part.out);
    return;
  }
  const std::uint64_t row_bytes = bytes_of(to, weight.tensor.columns);
  const std::uint64_t most = std::max<std::uint64_t>(weight.rows_at_once(to) / step, 1);
  for (std::uint64_t row = part.begin; row < part.end; row += most) {
    const std::uint64_t count = std::min(most, part.end - row);
    const std::uint64_t stored = (count - 1) * step + 1;
    stored_rows_.resize(stored * row_bytes);
    make_rows(weight, part.source() + (row - part.begin) * step, stored, to, stored_rows_.data());
    for (std::uint64_t i = 0; i < count; ++i) {
      std::copy_n(stored_rows_.data() + i * step * row_bytes, row_bytes,
                  part.out + (row - part.begin + i) * row_bytes);
    }
  }
}

// Rows that are the weight's columns. Its own rows, of which each has an element of all of them,
// are made some at a time.
void ElementReader::read_columns(const AsStored& weight, const PartOfRun& part, DType to) {
  const RowRun& run = part.run;
  const std::uint64_t columns = weight.tensor.columns, bytes = info(to).block_bytes;
  const std::uint64_t most = weight.rows_at_once(to);
  for (std::uint64_t at = 0; at < run.columns; at += most) {
    const std::uint64_t count = std::min(most, run.columns - at);
    stored_rows_.resize(bytes_of(to, count * columns));
    make_rows(weight, run.source_column + at, count, to, stored_rows_.data());
    (bytes == 2 ? transpose<2> : transpose<4>)(stored_rows_.data() + part.source() * bytes, columns,
                                               count, part.end - part.begin,
                                               part.out + (run.column + at) * bytes, part.columns);
  }
}

}  // namespace initrt
