// The instruction sets that conversions are compiled for, function by function, and whether this
// machine has them. Portable code is compiled for what the whole program is.
#pragma once

#if defined(__x86_64__)

// Clang has no such preference by function; g++ without it uses 256 bits.
#if defined(__clang__)
#define INITRT_AVX512 "avx512f,avx512bw,avx512dq,avx512vl"
#else
#define INITRT_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"
#endif

namespace initrt {

/// What INITRT_AVX512 names.
[[nodiscard]] inline bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

}  // namespace initrt

#endif
