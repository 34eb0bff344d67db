// A communicator that tells a fault where its rank is: at every word of progress, and with every
// transfer that begins.
#pragma once

#include "runtime/comm/forwarding.h"
#include "runtime/faults/fault.h"

namespace initrt {

class FaultyCommunicator final : public ForwardingCommunicator {
 public:
  /// Both outlive this.
  FaultyCommunicator(Communicator& base, FaultInjector& fault)
      : ForwardingCommunicator(base), fault_(fault) {}

  void note_progress(Stage stage, std::uint32_t unit) override;
  void broadcast(std::vector<std::byte>& data, std::uint32_t root) override;
  TransferHandle start_all_gather(std::function<bool()> ready, std::span<const std::byte> chunk,
                                  std::span<std::byte> whole) override;
  void send_receive(PartsToSend out, PartsToReceive in) override;

 private:
  FaultInjector& fault_;
};

}  // namespace initrt
