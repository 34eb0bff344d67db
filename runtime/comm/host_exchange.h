// The exchange of devices whose memory is the host's: what a communicator does as it is.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/comm/exchange.h"

namespace initrt {

class HostExchange : public Exchange {
 public:
  /// @param comm outlives the exchange
  explicit HostExchange(Communicator& comm) : comm_(comm) {}

  GatheringHandle start_all_gather(std::function<bool()> ready, FenceHandle free,
                                   std::span<const std::byte> chunk,
                                   std::span<std::byte> whole) override;
  void finish(const GatheringHandle& gathering) override;
  void send_receive(PartsToSend out, PartsToReceive in) override { comm_.send_receive(out, in); }
  void check() override { comm_.check(); }

 private:
  Communicator& comm_;
};

}  // namespace initrt
