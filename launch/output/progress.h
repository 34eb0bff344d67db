// Progress of loading on standard error: a bar on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace initrt {

enum class ProgressStyle : std::uint8_t { Off, Lines, Bar };

/// "auto", "bar", "lines" or "off". auto: a bar where standard error is a terminal, be it this
/// process's own or, under mpirun, its launcher's.
[[nodiscard]] ProgressStyle progress_style(const std::string& name);

/// Watches a count of bytes from a thread of its own until all are there.
class Progress {
 public:
  /// @param done bytes so far; called from another thread until all are done or this is destroyed
  Progress(ProgressStyle style, std::uint64_t total_bytes, std::function<std::uint64_t()> done);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Nothing is shown afterwards.
  ~Progress();

  /// Waits until all bytes are there and that has been shown.
  void finish();

 private:
  void run();
  void show(std::uint64_t bytes, bool last);

  const ProgressStyle style_;
  const std::uint64_t total_bytes_;
  const std::function<std::uint64_t()> done_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;  // guarded by mutex_
  std::thread thread_;
};

/// No Progress of this process shows anything from here on, and what is written next begins a line:
/// a failure is about to be told, as the last thing that is.
void end_all_progress();

/// Bytes as a person reads them: "1.50 GB".
[[nodiscard]] std::string human_bytes(double bytes);

}  // namespace initrt
