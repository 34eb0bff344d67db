// Kernels for any CPU: four lanes of the compiler's vector extensions (SSE2, NEON), products and
// sums rounded separately because a fused multiply-add without hardware would be a library call.
#include "runtime/device/cpu/kernels_table.h"

namespace initrt::cpu {
namespace {

struct Portable : Vectors<4> {
  static constexpr std::size_t tile_rows = 2;
  static constexpr std::size_t value_vectors = 2;
  using Bf16Dot = WidenedDot<Portable, AsBf16<Portable>>;

  INITRT_INLINE F fma(F a, F b, F c) { return a * b + c; }

  /// One sum per argument, every lane in the same tree: (0 + 2) + (1 + 3).
  INITRT_INLINE F4 reduce4(F a, F b, F c, F d) {
    const F ab =
        __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const F cd =
        __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
           __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  }

  /// The half's exponent and mantissa, moved to where float32 has them, are the value times
  /// 2^-112, subnormals included; infinities and NaNs get the full exponent.
  INITRT_INLINE F from_f16(H h) {
    const U u = __builtin_convertvector(h, U);
    const U magnitude = (u & 0x7fffu) << 13;
    const U scaled = (U)((F)magnitude * 0x1p112f);
    const U special = magnitude >= 0x0f800000u ? scaled | 0x7f800000u : scaled;
    return (F)(special | ((u & 0x8000u) << 16));
  }

  /// Rounds to nearest even. Subnormal halves are rounded by the addition to 0.5, whose last
  /// place is theirs; a carry out of the mantissa gives the next exponent or infinity.
  INITRT_INLINE H to_f16(F f) {
    const U u = (U)f;
    const U magnitude = u & 0x7fffffffu;
    const U subnormal = (U)((F)magnitude + 0.5f) - 0x3f000000u;
    const U normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
    U half = magnitude < 0x38800000u ? subnormal : normal;
    half = magnitude >= 0x47800000u ? U{} + 0x7c00u : half;
    half = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x3ffu) : half;
    return __builtin_convertvector(half | ((u >> 16) & 0x8000u), H);
  }
};

}  // namespace

constinit const Kernels portable_kernels = make_kernels<Portable>();

}  // namespace initrt::cpu
