#include "launch/machine/stop_signals.h"

#include <csignal>
#include <cstring>
#include <iterator>

namespace initrt {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1};

volatile std::sig_atomic_t first_signal = 0;
struct sigaction before[std::size(kSignals)];

void note(int signal) {
  if (first_signal == 0) first_signal = signal;
}

}  // namespace

StopSignals::StopSignals() {
  first_signal = 0;
  for (std::size_t i = 0; i < std::size(kSignals); ++i) {
    struct sigaction action {};
    action.sa_handler = note;
    // Reads and writes go on. Launchers may repeat SIGTERM; a person who repeats SIGINT means it.
    action.sa_flags =
        kSignals[i] == SIGINT ? static_cast<int>(SA_RESTART | SA_RESETHAND) : SA_RESTART;
    sigaction(kSignals[i], &action, &before[i]);
  }
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &before[i], nullptr);
}

int asked_to_stop() { return first_signal; }

std::string signal_name(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : std::string("SIG") + name;
}

int stop_status(int signal) { return signal == SIGINT ? 128 + SIGINT : kStoppedStatus; }

}  // namespace initrt
