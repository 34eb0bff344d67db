// The exchange between GPUs by NCCL: units and rows go from GPU to GPU on a stream of their own,
// beside what the GPU computes.
#pragma once

#include <nccl.h>

#include <chrono>
#include <deque>
#include <memory>

#include "runtime/comm/communicator.h"
#include "runtime/comm/exchange.h"
#include "runtime/device/cuda/cuda_device.h"

namespace initrt {

/// All calls come from the one thread that asks the device, so that the ranks' collectives are in
/// one order. A call never waits for a chunk that has not arrived: a gathering is posted with the
/// next call after it has, or waited for by finish().
class NcclExchange final : public Exchange {
 public:
  /// Connects the ranks of `base`, which carries NCCL's id. Collective. References outlive this.
  /// @param timed whether gatherings have an interval()
  NcclExchange(cuda::CudaDevice& device, Communicator& base, bool timed);
  NcclExchange(const NcclExchange&) = delete;
  NcclExchange& operator=(const NcclExchange&) = delete;
  ~NcclExchange() override;

  GatheringHandle start_all_gather(std::function<bool()> ready, FenceHandle free,
                                   std::span<const std::byte> chunk,
                                   std::span<std::byte> whole) override;
  void finish(const GatheringHandle& gathering) override;
  void send_receive(PartsToSend out, PartsToReceive in) override;
  bool can_be_recorded() const override { return true; }
  Buffer allocate(DeviceMemory& device, Ledger& ledger, std::span<const BufferPart> parts) override;
  std::shared_ptr<void> prepare(std::span<std::byte> memory) override;
  void abandon() override { abort(); }
  void check() override;

 private:
  struct Pending;

  void connect(const ncclUniqueId& id);
  /// Posts what is ready, in order.
  void post_ready();
  void post(Pending& pending);
  /// Waits until NCCL has taken what was asked of it. @throws Error where it failed
  void settle(ncclResult_t result, const char* what);
  void check_base();
  void abort();
  [[nodiscard]] ncclComm_t connected() const;

  cuda::CudaDevice& device_;
  Communicator& base_;
  const bool timed_;
  cuda::Stream stream_;
  ncclComm_t comm_ = nullptr;
  std::deque<std::shared_ptr<Pending>> pending_;
};

}  // namespace initrt
