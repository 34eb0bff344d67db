// Holding a rank at a given place, for tests that kill it there:
// INITRT_TEST_PAUSE=rank:stage:unit, with stage "load" or "generate".
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/comm/communicator.h"

namespace initrt {

struct TestPause {
  std::uint32_t rank = 0;
  Stage stage = Stage::Load;
  std::uint32_t unit = 0;
};

/// From the environment; nothing where the variable is not set. @throws Error where it is malformed
[[nodiscard]] std::optional<TestPause> test_pause();

/// Says so on standard error and never returns if this is the place.
void pause_if_asked(const std::optional<TestPause>& pause, std::uint32_t rank, Stage stage,
                    std::uint32_t unit);

}  // namespace initrt
