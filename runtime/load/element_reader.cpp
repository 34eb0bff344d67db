#include "runtime/load/element_reader.h"

#include <algorithm>
#include <utility>

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
    files_.push_back(std::make_unique<FileReader>(file.path, file.bytes, statistics_));
  }
}

std::uint64_t ElementReader::elements_at_once(const Binding& binding, DType to) const {
  const bool columns = std::any_of(
      binding.runs.begin(), binding.runs.end(),
      [&](const RowRun& run) { return has_columns_together(run, catalog_.tensors[run.source]); });
  const DTypeInfo& type = info(to);
  return (columns ? kRowsOfColumnsBytes : kBlockBytes) / type.block_bytes * type.block_elements;
}

void ElementReader::read(const Tensor& tensor, const Binding& binding, std::uint64_t begin,
                         std::uint64_t end, DType to, std::span<std::byte> out) {
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  plan_elements(tensor, binding, catalog_, begin, end, 0, to, pieces);
  const UnitReads reads = coalesce(pieces, kBlockBytes - 2 * kBlockAlignment);
  for (const Read& read : reads.reads) {
    if (on_read_) on_read_();
    const auto bytes = files_[read.file]->read(read.offset, read.bytes, block_.span());
    convert_read(reads, read, bytes, out.data());
  }
}

}  // namespace initrt
