// A communicator whose transfers are all posted and polled by one thread, in call order: what MPI
// needs, since it makes no progress by itself. Transports implement begin(), test() and poll().
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/comm/communicator.h"

namespace initrt {

/// One transfer. Fields up to `sequence` are set once, before it is queued.
class Transfer {
 public:
  enum class Kind : std::uint8_t { AllGather, SendReceive, Broadcast };
  enum class State : std::uint32_t { Pending, Done, Failed };

  Kind kind = Kind::AllGather;
  std::span<const std::byte> out;
  std::span<std::byte> in;
  PartsToSend out_parts;        ///< of SendReceive
  PartsToReceive in_parts;      ///< of SendReceive
  std::uint32_t root = 0;       ///< of a broadcast
  std::function<bool()> ready;  ///< empty: at once
  std::uint64_t sequence = 0;   ///< counts this rank's transfers; the same on every rank

  std::atomic<State> state{State::Pending};
  std::exception_ptr failure;  ///< written before state becomes Failed
  Interval under_way;          ///< written before state becomes Done
};

class QueuedCommunicator : public Communicator {
 public:
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  void send_receive(PartsToSend out, PartsToReceive in) override;
  void broadcast(std::vector<std::byte>& data, std::uint32_t root) override;
  TransferHandle start_all_gather(std::function<bool()> ready, std::span<const std::byte> chunk,
                                  std::span<std::byte> whole) override;
  Interval wait(const TransferHandle& transfer) override;
  void check() override;

  /// Whether each of the ranks' threads that compute has a core of its own. While one waits for a
  /// transfer, its core is free, and polling without sleeping sees the end at once. May change at
  /// any time: cores are known later than the world.
  void set_spin(bool spin) { spin_.store(spin, std::memory_order_relaxed); }

 protected:
  /// Where a wait is longer, seeing its end half a millisecond late is little of it.
  static constexpr std::chrono::milliseconds kLongestSpin{20};

  /// @param spin see set_spin()
  /// @param longest_spin how long to poll without sleeping for a thread that waits
  explicit QueuedCommunicator(bool spin, std::chrono::milliseconds longest_spin = kLongestSpin)
      : spin_(spin), longest_spin_(longest_spin) {}

  /// Derived constructors and destructors call these: the thread uses their virtual functions.
  void start_thread();
  /// Waits for queued transfers, or fails them if the world has failed, and ends the thread. A rank
  /// that gives up calls fail_world() first: its transfers may never become ready.
  void stop_thread();

  // Called on the communication thread only:
  virtual void begin(const TransferHandle& transfer) = 0;
  /// Whether a begun transfer is complete.
  virtual bool test(const TransferHandle& transfer) = 0;
  /// Looks after everything else: failures of other ranks, the deadline.
  /// @throws Error to fail every transfer
  virtual void poll() = 0;
  /// begin(), test() or poll() has thrown. When this returns, every wait is told, and memory that
  /// this rank's begun transfers use may be given back.
  virtual void on_failure(const std::string& message) = 0;
  /// A transfer's ready() has thrown. When this returns, it and those behind it fail; those begun
  /// go on.
  virtual void on_ready_failure(const std::string& message) = 0;

 private:
  TransferHandle queue(TransferHandle transfer);
  void run();
  void step(std::deque<TransferHandle>& queued, std::deque<TransferHandle>& active);
  bool next_is_ready(std::deque<TransferHandle>& queued);
  void fail_transfers(const std::exception_ptr& failure, std::deque<TransferHandle>& transfers);

  [[nodiscard]] bool may_spin(std::chrono::steady_clock::time_point since) const;

  std::atomic<bool> spin_;
  const std::chrono::milliseconds longest_spin_;
  std::atomic<int> waiting_{0};  // threads in wait()
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<TransferHandle> incoming_;  // guarded by mutex_
  std::exception_ptr failure_;           // guarded by mutex_
  bool stopping_ = false;                // guarded by mutex_
  std::uint64_t next_sequence_ = 0;      // guarded by mutex_
  std::thread thread_;
};

}  // namespace initrt
