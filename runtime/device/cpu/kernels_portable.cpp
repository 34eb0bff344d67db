// Kernels for any CPU: four lanes of the compiler's vector extensions (SSE2, NEON), products and
// sums rounded separately because a fused multiply-add without hardware would be a library call.
#include "runtime/device/cpu/kernels_table.h"

namespace initrt::cpu {
namespace {

struct Portable : Vectors<4> {
  static constexpr std::size_t tile_rows = 2;
  static constexpr std::size_t value_vectors = 2;
  using Bf16Dot = WidenedDot<Portable, AsBf16<Portable>>;
  using Bf16Decoders = Decoders<Portable, FloatPanel<Portable, AsBf16<Portable>>>;
  using Int8Codes = WidenedCodes<Portable>;

  INITRT_INLINE F fma(F a, F b, F c) { return a * b + c; }

  INITRT_INLINE U widen(const std::uint8_t* p) {
    using Bytes [[gnu::vector_size(16)]] = std::uint8_t;
    using Words [[gnu::vector_size(16)]] = std::uint16_t;
    std::uint32_t bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    const auto v = (Bytes)U{bits};
    const auto words = (Words)__builtin_shufflevector(v, Bytes{}, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20,
                                                      5, 21, 6, 22, 7, 23);
    return (U)__builtin_shufflevector(words, Words{}, 0, 8, 1, 9, 2, 10, 3, 11);
  }

  /// One sum per argument, every lane in the same tree: (0 + 2) + (1 + 3).
  INITRT_INLINE F4 reduce4(F a, F b, F c, F d) {
    const F ab =
        __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const F cd =
        __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
           __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  }
};

}  // namespace

constinit const Kernels portable_kernels = make_kernels<Portable>();

}  // namespace initrt::cpu
