// Progress of loading on standard error: a bar on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/comm/mpi.h"

namespace initrt {

enum class ProgressStyle : std::uint8_t { Off, Lines, Bar };

/// "auto", "bar", "lines" or "off". auto: a bar where standard error is a terminal, be it this
/// process's own or, under mpirun, its launcher's.
[[nodiscard]] ProgressStyle progress_style(const std::string& name);

/// Watches all ranks' bytes from a thread of its own until all are there.
class Progress {
 public:
  /// @param look how far every rank is; called from another thread until all are done or this is
  ///        destroyed
  Progress(ProgressStyle style, std::function<std::vector<BytesDone>()> look);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Nothing is shown afterwards.
  ~Progress();

  /// Waits until all bytes are there and that has been shown; for what other ranks have to say of
  /// it not for long, since this rank has seen the end.
  void finish();

 private:
  void run();
  void show(const std::vector<BytesDone>& ranks, bool last);

  const ProgressStyle style_;
  const std::function<std::vector<BytesDone>()> look_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;  // guarded by mutex_
  bool no_hurry_ = true;  // finish() does not wait yet; guarded by mutex_
  std::thread thread_;
};

/// No Progress of this process shows anything from here on, and what is written next begins a line:
/// a failure is about to be told, as the last thing that is.
void end_all_progress();

/// "43%  41.2 MB of 96.6 MB on 2 ranks, 256 MB/s, rank 1 at 38%": all ranks together, and the
/// slowest where it is behind.
[[nodiscard]] std::string loading_state(const std::vector<BytesDone>& ranks, double seconds);

}  // namespace initrt
