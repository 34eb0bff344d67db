// How many cases a test with random ones makes.
#pragma once

#include "tests/support/sanitized.h"

namespace initrt::testing {

/// `n`, and under sanitizers, where each takes about ten times as long, an eighth of them.
constexpr int cases([[maybe_unused]] int n) {
#if defined(INITRT_SANITIZED)
  return (n + 7) / 8;
#else
  return n;
#endif
}

}  // namespace initrt::testing
