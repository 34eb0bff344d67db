#include "runtime/comm/host_exchange.h"

namespace initrt {
namespace {

struct HostGathering final : Gathering {
  explicit HostGathering(TransferHandle handle) : transfer(std::move(handle)) {}
  Interval interval() const override { return under_way; }

  const TransferHandle transfer;
  Interval under_way;
};

}  // namespace

// Ops of such a device have been done when they return: there is nothing to be ordered after.
GatheringHandle HostExchange::start_all_gather(std::function<bool()> ready, FenceHandle,
                                               std::span<const std::byte> chunk,
                                               std::span<std::byte> whole) {
  return std::make_shared<HostGathering>(comm_.start_all_gather(std::move(ready), chunk, whole));
}

void HostExchange::finish(const GatheringHandle& gathering) {
  auto& pending = static_cast<HostGathering&>(*gathering);
  pending.under_way = comm_.wait(pending.transfer);
}

}  // namespace initrt
