// Kernels for AVX-512 with BF16 and VNNI: as AVX-512, but bf16 weights meet bf16 inputs in one
// instruction that multiplies pairs and adds them to float32 sums, and Int8's codes in one that
// does so with fours.
#include "runtime/device/cpu/kernels_pairs.h"
#include "runtime/device/cpu/kernels_table.h"
#include "runtime/device/cpu/simd_avx512.h"

namespace initrt::cpu {
namespace {

/// Sixty-four products of codes, added in fours. Weights are the unsigned side, 128 more than they
/// are.
struct VnniCodes {
  using Weights = __m512i;
  using Inputs = __m512i;
  using Sums = __m512i;
  static constexpr std::size_t step = 64;
  static constexpr std::uint32_t weight_offset = 128;
  INITRT_INLINE Weights weights(const std::uint8_t* p) { return raised(_mm512_loadu_epi8(p)); }
  INITRT_INLINE Weights weights_tail(const std::uint8_t* p, std::size_t n) {
    return raised(_mm512_maskz_loadu_epi8((std::uint64_t{1} << n) - 1, p));
  }
  INITRT_INLINE Inputs inputs(const std::uint8_t* p) { return _mm512_loadu_epi8(p); }
  INITRT_INLINE Sums accumulate(Sums sum, Weights w, Inputs x) {
    return _mm512_dpbusd_epi32(sum, w, x);
  }
  INITRT_INLINE VectorTypes<4>::U reduce4(Sums a, Sums b, Sums c, Sums d) {
    return Avx512::added_lanes(a, b, c, d);
  }

 private:
  INITRT_INLINE __m512i raised(__m512i w) {
    return _mm512_xor_si512(w, _mm512_set1_epi8(static_cast<char>(0x80)));
  }
};

struct Avx512Bf16 : Avx512 {
  using Bf16Dot = Bf16PairsDot;
  using Bf16Decoders = PairsDecoders;
  using Int8Codes = VnniCodes;
};

}  // namespace

constinit const Kernels avx512bf16_kernels = make_kernels<Avx512Bf16>();

}  // namespace initrt::cpu
