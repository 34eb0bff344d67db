#include "runtime/comm/self.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/comm/queued.h"

namespace initrt {
namespace {

constexpr auto kPollInterval = std::chrono::microseconds(100);

void copy(std::span<const std::byte> from, std::span<std::byte> to) {
  if (from.data() != to.data()) std::copy(from.begin(), from.end(), to.begin());
}

}  // namespace

void SelfCommunicator::all_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  copy(mine, all);
}

void SelfCommunicator::send_receive(std::span<const std::byte> out, std::uint32_t,
                                    std::span<std::byte> in, std::uint32_t) {
  copy(out, in);
}

TransferHandle SelfCommunicator::start_all_gather(std::function<bool()> ready,
                                                  std::span<const std::byte> chunk,
                                                  std::span<std::byte> whole) {
  auto transfer = std::make_shared<Transfer>();
  transfer->ready = std::move(ready);
  transfer->out = chunk;
  transfer->in = whole;
  return transfer;
}

Interval SelfCommunicator::wait(const TransferHandle& transfer) {
  while (transfer->ready && !transfer->ready()) std::this_thread::sleep_for(kPollInterval);
  const HostTime begin = host_time();
  copy(transfer->out, transfer->in);
  return {begin, host_time()};
}

}  // namespace initrt
