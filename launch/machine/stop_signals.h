// Signals that ask a run to stop: SIGINT of a person, SIGTERM and SIGUSR1 of a batch system.
#pragma once

#include <string>

namespace initrt {

/// While this lives, SIGINT, SIGTERM and SIGUSR1 are noted instead of ending the process; a second
/// SIGINT ends it. One at a time.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  /// As they were before.
  ~StopSignals();
};

/// The number of the first that came; 0: none. From any thread.
[[nodiscard]] int asked_to_stop();

/// "SIGTERM".
[[nodiscard]] std::string signal_name(int signal);

/// EX_TEMPFAIL: stopped before the end, to be started again.
inline constexpr int kStoppedStatus = 75;

/// The exit status of a run that `signal` has stopped: 130 for SIGINT, as shells have it, else
/// kStoppedStatus.
[[nodiscard]] int stop_status(int signal);

}  // namespace initrt
