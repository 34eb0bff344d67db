// Memory that AddressSanitizer reports the use of, and the byte that new memory is filled with.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace cuda_emulator {

/// A float of these bytes is -4.3e8, a bfloat16 too: sums with it are plainly wrong.
constexpr int kPoison = 0xcd;

inline void forbid([[maybe_unused]] const void* from, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(from, bytes);
#endif
}

inline void allow([[maybe_unused]] const void* from, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(from, bytes);
#endif
}

}  // namespace cuda_emulator
