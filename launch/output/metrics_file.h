// The file of --metrics: where a run is, in Prometheus's text format, for node-exporter's textfile
// collector. It is replaced as a whole, so that a collector never reads half of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/comm/mpi.h"

namespace initrt {

struct Metrics {
  std::string model;
  std::vector<BytesDone> loading;  ///< of each rank
  std::uint64_t prompts = 0;       ///< that this run has to do
  std::uint64_t prompts_done = 0;
  std::uint64_t tokens = 0;  ///< of the answers that are done
  std::uint64_t sweeps = 0;
  double seconds = 0;    ///< since the run began
  double unix_time = 0;  ///< when this was so
  bool running = true;
};

[[nodiscard]] std::string metrics_text(const Metrics& metrics);

/// Writes a file every few seconds, from a thread of its own.
class MetricsFile {
 public:
  /// Written once at once: a path that cannot be is told before hours of work.
  /// @param look called from that thread, until this is gone
  /// @throws Error naming the path
  MetricsFile(std::string path, std::function<Metrics()> look,
              std::chrono::milliseconds every = std::chrono::seconds(5));

  /// The last time. @throws Error naming the path
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void write() const;

  const std::string path_;
  const std::function<Metrics()> look_;
  const Clock::time_point began_ = Clock::now();
  std::jthread thread_;
};

}  // namespace initrt
