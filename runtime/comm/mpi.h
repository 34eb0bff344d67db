// The world that mpirun or srun made: transfers over MPI, failures and heartbeats to rank 0.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/comm/mpi_session.h"
#include "runtime/comm/queued.h"
#include "sharding/notices.h"

namespace initrt {

/// How far a rank is with loading.
struct BytesDone {
  std::uint64_t done = 0, total = 0;
  bool known = false;  ///< it has said so

  [[nodiscard]] bool all() const { return known && done >= total; }

  bool operator==(const BytesDone&) const = default;
};

/// For the end of a sentence on a rank that makes no progress: ", with 43% loaded"; "" where
/// nothing is known, or nothing is left to load.
[[nodiscard]] std::string loaded_text(const BytesDone& bytes);

/// A failure of any rank, an error that MPI reports included, ends the whole job with MPI_Abort:
/// rank 0 prints the first cause it hears of, as an error in the log of the rank that failed. A
/// wait throws only what this rank's own ready() threw: until the process ends, MPI may write into
/// the memory of begun transfers.
class MpiCommunicator final : public QueuedCommunicator {
 public:
  /// @param session outlives this
  /// @param spin see QueuedCommunicator::set_spin()
  /// @param timeout the job ends when no rank has made progress for this long
  MpiCommunicator(const MpiSession& session, bool spin, std::chrono::seconds timeout);
  /// Waits until every rank is here, listening for failures meanwhile. A rank that gives up calls
  /// fail_world() instead of unwinding to this.
  ~MpiCommunicator() override;

  [[nodiscard]] std::uint32_t rank() const override { return rank_; }
  [[nodiscard]] std::uint32_t size() const override { return size_; }
  void note_progress(Stage stage, std::uint32_t unit) override;
  [[noreturn]] void fail_world(const std::string& message) override;
  /// The same because the job was asked to end, which the line notes and is no rank's own, with
  /// another exit status than a failure's.
  [[noreturn]] void end_world(const std::string& message, int status);

  /// How lines of the log name this rank: "rank 3: ", or "rank 3 on NODE: " where there are several
  /// nodes.
  [[nodiscard]] const std::string& speaker() const { return speaker_; }

  /// Goes to rank 0 with this rank's heartbeats, and at once when all is done. From one thread.
  void note_bytes(BytesDone bytes);
  /// Of every rank, as far as rank 0 has heard, in rank order. On rank 0, from any thread.
  [[nodiscard]] std::vector<BytesDone> bytes_of_ranks() const;

  /// Known only after the job file is read.
  void set_timeout(std::chrono::seconds timeout) { timeout_seconds_ = timeout.count(); }

  /// @param hook called before the line that tells the world's failure: nothing may follow it.
  ///        From any thread, perhaps more than once
  void before_last_line(void (*hook)()) { before_last_line_ = hook; }

 protected:
  void begin(const TransferHandle& transfer) override;
  bool test(const TransferHandle& transfer) override;
  void poll() override;
  [[noreturn]] void on_failure(const std::string& message) override;
  void on_ready_failure(const std::string& message) override;

 private:
  struct Requests;
  using Clock = std::chrono::steady_clock;
  // Why the job ends: what its last line says, and its exit status.
  struct Failure {
    std::string speaker;  // as speaker_, or ""
    std::string message;
    int status = 1;
    LogLevel level = LogLevel::Error;
  };

  void send_heartbeat(Clock::time_point now);
  void listen(Clock::time_point now);
  void watch_deadline(Clock::time_point now);
  void record_failure(const Failure& failure);
  void end_for_first_failure(Clock::time_point now);
  void handle_own_failure(Clock::time_point now);
  [[noreturn]] void end_job(const Failure& failure);
  [[noreturn]] void abort_job(const Failure& failure);
  void write_last_line(const Failure& failure);

  const std::uint32_t rank_, size_;
  const std::string speaker_;
  std::unique_ptr<Requests> requests_;
  std::atomic<std::int64_t> timeout_seconds_;
  std::atomic<std::uint64_t> place_{0};     // stage << 32 | unit
  std::atomic<std::uint64_t> progress_{0};  // counts note_progress()
  std::atomic<bool> finishing_{false};      // no more heartbeats
  std::atomic<bool> failed_{false};         // failure_ is written before it is set
  std::atomic<void (*)()> before_last_line_{nullptr};
  mutable std::mutex heard_mutex_;
  std::vector<BytesDone> heard_;  // of each rank; on others than 0 its own; guarded by heard_mutex_
  std::mutex failure_mutex_;
  Failure failure_;  // the first; guarded by failure_mutex_ until failed_
};

}  // namespace initrt
