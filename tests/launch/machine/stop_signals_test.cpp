#include "launch/machine/stop_signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace initrt {
namespace {

TEST(StopSignals, NoteTheFirstAndTellItsStatus) {
  for (const auto& [signal, name, status] :
       {std::tuple(SIGTERM, "SIGTERM", 75), {SIGUSR1, "SIGUSR1", 75}, {SIGINT, "SIGINT", 130}}) {
    const StopSignals signals;
    EXPECT_EQ(asked_to_stop(), 0);
    std::raise(signal);
    std::raise(SIGTERM);  // launchers may say it twice, and after another
    std::raise(SIGTERM);
    EXPECT_EQ(asked_to_stop(), signal);
    EXPECT_EQ(signal_name(signal), name);
    EXPECT_EQ(stop_status(signal), status);
  }
}

TEST(StopSignalsDeathTest, ASecondInterruptEndsTheProcess) {
  EXPECT_EXIT(
      {
        const StopSignals signals;
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(StopSignalsDeathTest, AreAsBeforeAfterwards) {
  EXPECT_EXIT(
      {
        { const StopSignals signals; }
        std::raise(SIGTERM);
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace initrt
