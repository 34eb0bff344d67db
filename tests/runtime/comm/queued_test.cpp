// The thread of a queued communicator, over a transport whose transfers end when the test says.
#include "runtime/comm/queued.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <thread>

namespace initrt {
namespace {

using namespace std::chrono_literals;

constexpr int kLooks = 1000;

/// A transfer is done once it has been looked at so many times, and tells how often its thread
/// slept meanwhile.
class CountingTransport final : public QueuedCommunicator {
 public:
  CountingTransport(bool spin, std::chrono::milliseconds longest_spin)
      : QueuedCommunicator(spin, longest_spin) {
    start_thread();
  }
  ~CountingTransport() override { stop_thread(); }

  [[nodiscard]] std::uint32_t rank() const override { return 0; }
  [[nodiscard]] std::uint32_t size() const override { return 1; }
  void note_progress(Stage, std::uint32_t) override {}
  void fail_world(const std::string&) override {}

  /// Waits for a transfer. @returns how often the thread slept
  long wait_for_one() {
    const std::byte mine{1};
    std::byte all{};
    all_gather({&mine, 1}, {&all, 1});
    return slept_;
  }
  /// The same, without anybody who waits.
  long look_at_one() {
    const std::byte mine{1};
    std::byte all{};
    const TransferHandle transfer = start_all_gather({}, {&mine, 1}, {&all, 1});
    while (transfer->state.load() == Transfer::State::Pending) std::this_thread::sleep_for(10ms);
    return slept_;
  }

 protected:
  void begin(const TransferHandle&) override {
    left_ = kLooks;
    slept_ = -sleeps();
  }
  bool test(const TransferHandle&) override {
    if (--left_ > 0) return false;
    slept_ += sleeps();
    return true;
  }
  void poll() override {}
  void on_failure(const std::string&) override {}
  void on_ready_failure(const std::string&) override {}

 private:
  static long sleeps() {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;  // giving way to others while it could go on is not counted
  }

  int left_ = 0;
  long slept_ = 0;
};

TEST(QueuedCommunicator, LooksWithoutSleepingAtWhatSomebodyWaitsForWhereThereAreCores) {
  CountingTransport at_first(true, 1min);
  EXPECT_LT(at_first.wait_for_one(), kLooks / 4);
  CountingTransport later(false, 1min);
  later.set_spin(true);
  EXPECT_LT(later.wait_for_one(), kLooks / 4);
}

TEST(QueuedCommunicator, SleepsBetweenLooksWhereThereAreNone) {
  CountingTransport comm(true, 1min);
  comm.set_spin(false);
  EXPECT_GT(comm.wait_for_one(), kLooks / 2);
}

TEST(QueuedCommunicator, SleepsBetweenLooksAtWhatTakesLong) {
  CountingTransport comm(true, 0ms);
  EXPECT_GT(comm.wait_for_one(), kLooks / 2);
}

TEST(QueuedCommunicator, SleepsBetweenLooksAtWhatNobodyWaitsFor) {
  CountingTransport comm(true, 1min);
  EXPECT_GT(comm.look_at_one(), kLooks / 2);
}

}  // namespace
}  // namespace initrt
