#include "runtime/comm/staged_exchange.h"

#include "sharding/error.h"

namespace initrt {
namespace {

struct StagedGathering final : Gathering {
  Interval interval() const override { return under_way; }

  TransferHandle transfer;
  std::span<std::byte> whole;  // of the device
  std::uint64_t slot = 0;
  std::shared_ptr<HostTime> download_began = std::make_shared<HostTime>();
  Interval under_way;  // but for the copy to the device, which waits for its turn
};

}  // namespace

StagedExchange::StagedExchange(Communicator& comm, DeviceMemory& device, const HostSlots& slots,
                               std::uint64_t row_bytes, Ledger& ledger)
    : comm_(comm),
      device_(device),
      slot_memory_(device.allocate_host(ledger, MemoryCategory::Pinned, slots.bytes())),
      rows_(device.allocate_host(ledger, MemoryCategory::Pinned, 2 * row_bytes)) {
  std::span<std::byte> memory = slot_memory_.span();
  for (std::uint32_t i = 0; i < slots.slots; ++i) {
    slots_.push_back({memory.first(slots.chunk_bytes),
                      memory.subspan(slots.chunk_bytes, slots.whole_bytes), nullptr});
    memory = memory.subspan(slots.chunk_bytes + slots.whole_bytes);
  }
}

// What is gathered is copied to the device by finish(), behind all ops asked for before: the
// device's place for it is free by then.
GatheringHandle StagedExchange::start_all_gather(std::function<bool()> ready, FenceHandle,
                                                 std::span<const std::byte> chunk,
                                                 std::span<std::byte> whole) {
  auto gathering = std::make_shared<StagedGathering>();
  gathering->whole = whole;
  gathering->slot = gatherings_++ % slots_.size();
  Slot& slot = slots_[gathering->slot];
  if (chunk.size() > slot.chunk.size() || whole.size() > slot.whole.size()) {
    fail("a unit of {} bytes does not fit the {} bytes of host memory that units go through",
         whole.size(), slot.whole.size());
  }
  const std::span<std::byte> staged = slot.chunk.first(chunk.size());
  const auto copied = [this, ready = std::move(ready), emptied = slot.emptied, chunk, staged,
                       began = gathering->download_began,
                       download = std::shared_ptr<Download>()]() mutable {
    if (!download) {
      if ((ready && !ready()) || (emptied && !emptied->passed())) return false;
      *began = host_time();
      download = device_.start_download(chunk.data(), staged);
    }
    return download->done();
  };
  gathering->transfer = comm_.start_all_gather(copied, staged, slot.whole.first(whole.size()));
  return gathering;
}

void StagedExchange::finish(const GatheringHandle& gathering) {
  auto& staged = static_cast<StagedGathering&>(*gathering);
  staged.under_way.end = comm_.wait(staged.transfer).end;
  staged.under_way.begin = *staged.download_began;
  Slot& slot = slots_[staged.slot];
  device_.upload(slot.whole.first(staged.whole.size()), staged.whole.data());
  slot.emptied = device_.fence();
}

void StagedExchange::all_to_all(std::span<const std::byte> out,
                                std::span<const std::uint64_t> out_bytes, std::span<std::byte> in,
                                std::span<const std::uint64_t> in_bytes) {
  const std::size_t half = rows_.bytes() / 2;
  const std::span<std::byte> outgoing = rows_.span().first(half).first(out.size());
  const std::span<std::byte> incoming = rows_.span().subspan(half).first(in.size());
  device_.read(out.data(), outgoing);
  device_.synchronize();  // the last upload from `incoming`, too
  comm_.all_to_all(outgoing, out_bytes, incoming, in_bytes);
  device_.upload(incoming, in.data());
}

}  // namespace initrt
