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
  void all_to_all(std::span<const std::byte> out, std::span<const std::uint64_t> out_bytes,
                  std::span<std::byte> in, std::span<const std::uint64_t> in_bytes) override {
    comm_.all_to_all(out, out_bytes, in, in_bytes);
  }
  void check() override { comm_.check(); }

 private:
  Communicator& comm_;
};

}  // namespace initrt
