// A rank's communicator.
#pragma once

#include <nccl.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "rendezvous.h"
#include "runtime.h"
#include "transfer.h"

namespace cuda_emulator {

class Communicator {
 public:
  Communicator(std::string name, int ranks, int rank, bool blocking, Device& device);
  ~Communicator();

  /// Meets the others: waits for them, or returns ncclInProgress at once.
  ncclResult_t start();

  /// For calls that need a communicator that is ready: ncclSuccess, or why not.
  ncclResult_t ready();

  /// What a call returns that does its work later: ncclInProgress the first time, where calls do
  /// not block.
  ncclResult_t later();

  ncclResult_t state();
  /// As NCCL, waits until no graph holds an operation of the communicator; where one does for long,
  /// ends the process, since NCCL would wait for ever.
  void wait_for_graphs();
  void abort();

  /// Runs the transfers, on a stream's thread.
  void run(const std::vector<Transfer>& transfers);

  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] const Device& device() const { return *device_; }
  [[nodiscard]] std::string last_error();
  ncclResult_t fail(ncclResult_t error, const std::string& why);

  std::set<void*> registered;     ///< by the thread that uses the communicator
  std::atomic<int> recorded = 0;  ///< operations of its that captures and graphs hold

 private:
  ncclResult_t meet();

  std::string name_;
  int ranks_, rank_;
  bool blocking_;
  Device* device_;
  const std::size_t bytes_;  ///< of the device's memory
  Rendezvous rendezvous_;
  std::atomic<ncclResult_t> state_ = ncclInProgress;
  std::atomic<bool> aborted_ = false;
  std::atomic<int> running_ = 0;
  bool used_ = false;
  std::atomic<int> polls_to_come_ = 0;  ///< that still see ncclInProgress
  std::mutex one_at_a_time_;
  std::mutex error_mutex_;
  std::string error_;
  std::thread starting_;
};

}  // namespace cuda_emulator

struct ncclComm {
  std::shared_ptr<cuda_emulator::Communicator> communicator;
  std::string last_error;  ///< what ncclGetLastError() gave out
};
