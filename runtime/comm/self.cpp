#include "runtime/comm/self.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/comm/queued.h"

namespace initrt {
namespace {

constexpr auto kPollInterval = std::chrono::microseconds(100);
constexpr std::chrono::milliseconds kLook{100};  // how late a stall may be noticed
// Of the time between two looks, what counts: a process that was stopped has not stalled.
constexpr std::chrono::milliseconds kMaxBetweenLooks{1000};

void copy(std::span<const std::byte> from, std::span<std::byte> to) {
  if (from.data() != to.data()) std::copy(from.begin(), from.end(), to.begin());
}

}  // namespace

SelfCommunicator::~SelfCommunicator() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  wake_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

void SelfCommunicator::set_timeout(std::chrono::seconds timeout) {
  timeout_seconds_ = timeout.count();
  if (on_stall_ && !watcher_.joinable()) watcher_ = std::thread([this] { watch(); });
}

void SelfCommunicator::note_progress(Stage stage, std::uint32_t unit) {
  place_.store(static_cast<std::uint64_t>(stage) << 32 | unit, std::memory_order_relaxed);
  progress_.fetch_add(1, std::memory_order_relaxed);
}

void SelfCommunicator::watch() {
  using Clock = std::chrono::steady_clock;
  std::uint64_t seen = progress_.load(std::memory_order_relaxed);
  Clock::duration without_progress{};
  Clock::time_point looked = Clock::now();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return leaving_; })) {
    const Clock::time_point now = Clock::now();
    without_progress += std::min<Clock::duration>(now - looked, kMaxBetweenLooks);
    looked = now;
    const std::uint64_t progress = progress_.load(std::memory_order_relaxed);
    if (std::exchange(seen, progress) != progress) without_progress = {};
    const std::chrono::seconds timeout(timeout_seconds_.load());
    if (without_progress <= timeout) continue;
    const std::uint64_t place = place_.load(std::memory_order_relaxed);
    on_stall_(
        fmt::format("no progress for {} s (key \"timeout\") while {}", timeout.count(),
                    describe(static_cast<Stage>(place >> 32), static_cast<std::uint32_t>(place))));
    return;
  }
}

void SelfCommunicator::all_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  copy(mine, all);
}

void SelfCommunicator::send_receive(PartsToSend out, PartsToReceive in) {
  copy(out.front(), in.front());
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
