// How many cases a test with random ones makes.
#pragma once

namespace initrt::testing {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INITRT_SANITIZED 1
#endif
#endif

/// `n`, and under sanitizers, where each takes about ten times as long, an eighth of them.
constexpr int cases([[maybe_unused]] int n) {
#if defined(INITRT_SANITIZED)
  return (n + 7) / 8;
#else
  return n;
#endif
}

}  // namespace initrt::testing
