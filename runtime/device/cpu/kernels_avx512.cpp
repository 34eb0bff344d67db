// Kernels for AVX-512: sixteen lanes, thirty-two registers, masked tails.
#include "runtime/device/cpu/kernels_table.h"
#include "runtime/device/cpu/simd_avx512.h"

namespace initrt::cpu {

constinit const Kernels avx512_kernels = make_kernels<Avx512>();

}  // namespace initrt::cpu
