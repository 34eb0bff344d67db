// Holding a rank at a given place, for tests that kill it there or ask it to stop:
// INITRT_TEST_PAUSE=rank:stage:unit or rank:stage:unit:time, with stage "load" or "generate", and
// the time that the rank comes there (1: the first).
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/comm/communicator.h"

namespace initrt {

struct TestPause {
  std::uint32_t rank = 0;
  Stage stage = Stage::Load;
  std::uint32_t unit = 0;
  std::uint32_t left = 1;  ///< times it comes there until it is held
};

/// From the environment; nothing where the variable is not set. @throws Error where it is malformed
[[nodiscard]] std::optional<TestPause> test_pause();

/// If this is the place and the time, says so on standard error and returns once a signal has asked
/// to stop (asked_to_stop()). From any thread.
void pause_if_asked(std::optional<TestPause>& pause, std::uint32_t rank, Stage stage,
                    std::uint32_t unit);

}  // namespace initrt
