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

void StagedExchange::send_receive(PartsToSend out, PartsToReceive in) {
  std::span<std::byte> room = rows_.span().first(rows_.bytes() / 2);
  const auto take = [&room](std::size_t bytes) {
    if (bytes > room.size()) {
      fail("{} bytes of rows do not fit the {} bytes of host memory left for them", bytes,
           room.size());
    }
    const std::span<std::byte> taken = room.first(bytes);
    room = room.subspan(bytes);
    return taken;
  };
  outgoing_.clear();
  incoming_.clear();
  std::span<const std::byte> last, staged;
  for (const std::span<const std::byte> part : out) {
    if (part.empty()) {
      outgoing_.emplace_back();
      continue;
    }
    if (part.data() != last.data() || part.size() != last.size()) {
      const std::span<std::byte> place = take(part.size());
      device_.read(part.data(), place);
      last = part;
      staged = place;
    }
    outgoing_.push_back(staged);
  }
  device_.synchronize();  // the last upload from what is received, too
  room = rows_.span().subspan(rows_.bytes() / 2);
  for (const std::span<std::byte> part : in) incoming_.push_back(take(part.size()));
  comm_.send_receive(outgoing_, incoming_);
  for (std::size_t peer = 0; peer < in.size(); ++peer) {
    if (!in[peer].empty()) device_.upload(incoming_[peer], in[peer].data());
  }
}

}  // namespace initrt
