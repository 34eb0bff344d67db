#include "runtime/device/cpu/host_uploader.h"

#include "runtime/convert/batch.h"
#include "runtime/convert/convert.h"
#include "runtime/device/host_memory.h"

namespace initrt {
namespace {

class HostUploader final : public Uploader {
 public:
  HostUploader(std::shared_ptr<const Buffer> ring, std::span<std::byte> block)
      : ring_(std::move(ring)), block_(block) {}

  bool stores_on_host() const override { return true; }
  std::span<std::byte> block() const override { return block_; }

  StoredRead store(const UnitReads& plan, const ReadTask& task, const Read& read,
                   std::span<const std::byte> bytes, std::byte* to) override {
    const HostTime begin = host_time();
    const std::uint64_t written =
        task.batch ? convert_batch_read(plan, task, read, bytes,
                                        block_.subspan(batch_begin(block_.size())), to)
                   : convert_read(plan, read, bytes, to);
    return {written, std::nullopt, Interval{begin, host_time()}};
  }

 private:
  const std::shared_ptr<const Buffer> ring_;
  const std::span<std::byte> block_;
};

}  // namespace

std::vector<std::unique_ptr<Uploader>> make_host_uploaders(Ledger& ledger,
                                                           const StagingRing& ring) {
  const auto memory = std::make_shared<const Buffer>(
      allocate_host_memory(ledger, MemoryCategory::Staging, ring.bytes()));
  std::vector<std::unique_ptr<Uploader>> uploaders;
  for (std::uint32_t i = 0; i < ring.blocks; ++i) {
    uploaders.push_back(std::make_unique<HostUploader>(
        memory, memory->span().subspan(i * ring.block_bytes, ring.block_bytes)));
  }
  return uploaders;
}

}  // namespace initrt
