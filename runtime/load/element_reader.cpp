#include "runtime/load/element_reader.h"

#include <algorithm>
#include <utility>

#include "runtime/convert/batch.h"
#include "runtime/convert/convert.h"
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
    const std::uint64_t row_bytes = bytes_of(to, binding.quantized->columns);
    return std::max<std::uint64_t>(kRowsOfColumnsBytes / row_bytes, 1) * binding.quantized->columns;
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

void ElementReader::read_quantized(const Tensor& tensor, const Binding& binding,
                                   std::uint64_t begin, std::uint64_t end, DType to,
                                   std::span<std::byte> out) {
  if (begin == end) return;
  const std::uint64_t half = kBlockBytes / 2, columns = tensor.columns;
  const std::uint64_t first = begin / columns, rows = (end - 1) / columns + 1 - first;
  const ReadLimits limits{half - 2 * kBlockAlignment, half - 2 * kBlockAlignment, half};
  const UnitReads plan = plan_quantized_rows(tensor, binding, catalog_, first, rows, to, limits);
  const bool whole = begin % columns == 0 && end % columns == 0;
  if (!whole) rows_.resize(bytes_of(to, rows * columns));
  std::byte* const place = whole ? out.data() : rows_.data();
  for (const ReadTask& task : plan.tasks) {
    for (std::uint32_t i = 0; i < task.reads; ++i) {
      if (on_read_) on_read_();
      const Read& read = plan.reads[task.first_read + i];
      const auto bytes =
          files_[read.file]->read(read.offset, read.bytes, block_.span().first(half));
      convert_batch_read(plan, task, read, bytes, block_.span().subspan(half), place);
    }
  }
  if (!whole) {
    std::copy_n(place + bytes_of(to, begin - first * columns), bytes_of(to, end - begin),
                out.data());
  }
}

}  // namespace initrt
