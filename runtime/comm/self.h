// World size 1: nobody to talk to.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "runtime/comm/communicator.h"

namespace initrt {

class SelfCommunicator final : public Communicator {
 public:
  /// Called once, from a thread of its own, with what to say of a run that makes no progress.
  using OnStall = std::function<void(const std::string& message)>;

  /// @param on_stall may be empty: nobody watches
  explicit SelfCommunicator(OnStall on_stall = {}) : on_stall_(std::move(on_stall)) {}
  SelfCommunicator(const SelfCommunicator&) = delete;
  SelfCommunicator& operator=(const SelfCommunicator&) = delete;
  ~SelfCommunicator() override;

  /// From here on a run without progress for this long has stalled. Time in which the process is
  /// stopped does not count.
  void set_timeout(std::chrono::seconds timeout);

  [[nodiscard]] std::uint32_t rank() const override { return 0; }
  [[nodiscard]] std::uint32_t size() const override { return 1; }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  void send_receive(PartsToSend out, PartsToReceive in) override;
  void broadcast(std::vector<std::byte>&, std::uint32_t) override {}
  TransferHandle start_all_gather(std::function<bool()> ready, std::span<const std::byte> chunk,
                                  std::span<std::byte> whole) override;
  Interval wait(const TransferHandle& transfer) override;
  void check() override {}
  void note_progress(Stage stage, std::uint32_t unit) override;
  void fail_world(const std::string&) override {}

 private:
  void watch();

  const OnStall on_stall_;
  std::atomic<std::int64_t> timeout_seconds_{0};
  std::atomic<std::uint64_t> place_{0};  // stage << 32 | unit
  std::atomic<std::uint64_t> progress_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool leaving_ = false;  // guarded by mutex_
  std::thread watcher_;   // once there is a timeout
};

}  // namespace initrt
