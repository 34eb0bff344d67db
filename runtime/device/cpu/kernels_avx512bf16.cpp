// Kernels for AVX-512 with BF16: as AVX-512, but bf16 weights meet bf16 inputs in one instruction
// that multiplies pairs and adds them to float32 sums.
#include "runtime/device/cpu/kernels_table.h"
#include "runtime/device/cpu/simd_avx512.h"

namespace initrt::cpu {
namespace {

struct Bf16PairsDot {
  using Weight = std::uint16_t;
  using Input = std::uint16_t;
  using Weights = __m512bh;
  using Inputs = __m512bh;
  static constexpr std::size_t step = 32;

  INITRT_INLINE Weights weights(const Weight* p) { return (Weights)_mm512_loadu_epi16(p); }
  INITRT_INLINE Weights weights_tail(const Weight* p, std::size_t n) {
    return (Weights)_mm512_maskz_loadu_epi16(static_cast<__mmask32>((1u << n) - 1), p);
  }
  INITRT_INLINE Inputs inputs(const Input* p) { return weights(p); }
  INITRT_INLINE Inputs inputs_tail(const Input* p, std::size_t n) { return weights_tail(p, n); }
  INITRT_INLINE Avx512::F accumulate(Avx512::F sum, Weights w, Inputs x) {
    return _mm512_dpbf16_ps(sum, w, x);
  }
};

struct Avx512Bf16 : Avx512 {
  using Bf16Dot = Bf16PairsDot;
};

}  // namespace

constinit const Kernels avx512bf16_kernels = make_kernels<Avx512Bf16>();

}  // namespace initrt::cpu
