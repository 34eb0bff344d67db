#include "runtime/load/element_reader.h"

#include "runtime/load/convert.h"
#include "sharding/read_plan.h"

namespace initrt {
namespace {

constexpr std::uint64_t kBlockBytes = 8u << 20;

}  // namespace

ElementReader::ElementReader(const Catalog& catalog)
    : catalog_(catalog), block_(ledger_, MemoryCategory::Staging, kBlockBytes) {
  for (const CheckpointFile& file : catalog.files) {
    files_.push_back(std::make_unique<FileReader>(file.path, file.bytes, statistics_));
  }
}

void ElementReader::read(const Tensor& tensor, const Binding& binding, std::uint64_t begin,
                         std::uint64_t end, DType to, std::span<std::byte> out) {
  std::vector<std::pair<std::uint32_t, Piece>> pieces;
  plan_elements(tensor, binding, catalog_, begin, end, 0, to, pieces);
  const UnitReads reads = coalesce(std::move(pieces), to, kBlockBytes - 2 * kBlockAlignment);
  for (const Read& read : reads.reads) {
    const auto bytes = files_[read.file]->read(read.offset, read.bytes, block_.span());
    convert_read(reads, read, bytes, out.data(), to);
  }
}

}  // namespace initrt
