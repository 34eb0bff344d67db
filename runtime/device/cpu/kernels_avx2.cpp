// Kernels for AVX2 with FMA and F16C: eight lanes, sixteen registers.
#include <immintrin.h>

#include "runtime/device/cpu/kernels_table.h"

namespace initrt::cpu {
namespace {

struct Avx2 : Vectors<8> {
  static constexpr std::size_t tile_rows = 3;  // 12 sums, 3 inputs and a weight: all 16 registers
  static constexpr std::size_t value_vectors = 2;
  using Bf16Dot = WidenedDot<Avx2, AsBf16<Avx2>>;
  using Bf16Decoders = Decoders<Avx2, FloatPanel<Avx2, AsBf16<Avx2>>>;

  /// Sixteen codes widened to 16 bits, whose products are added in pairs.
  struct Int8Codes {
    using Weights = __m256i;
    using Inputs = __m256i;
    using Sums = __m256i;
    static constexpr std::size_t step = 16;
    static constexpr std::uint32_t weight_offset = 0;
    INITRT_INLINE Weights weights(const std::uint8_t* p) {
      return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    INITRT_INLINE Weights weights_tail(const std::uint8_t* p, std::size_t n) {
      std::uint8_t last[step] = {};
      __builtin_memcpy(last, p, n);
      return weights(last);
    }
    INITRT_INLINE Inputs inputs(const std::uint8_t* p) { return weights(p); }
    INITRT_INLINE Sums accumulate(Sums sum, Weights w, Inputs x) {
      return _mm256_add_epi32(sum, _mm256_madd_epi16(w, x));
    }
    INITRT_INLINE VectorTypes<4>::U reduce4(Sums a, Sums b, Sums c, Sums d) {
      const __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
      return (VectorTypes<4>::U)_mm_add_epi32(_mm256_castsi256_si128(sums),
                                              _mm256_extracti128_si256(sums, 1));
    }
  };

  INITRT_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }

  /// One sum per argument, every lane in the same tree: (0 + 2) + (1 + 3) in each half, then the
  /// halves.
  INITRT_INLINE F4 reduce4(F a, F b, F c, F d) {
    const F ab = _mm256_unpacklo_ps(a, b) + _mm256_unpackhi_ps(a, b);
    const F cd = _mm256_unpacklo_ps(c, d) + _mm256_unpackhi_ps(c, d);
    const F sums = _mm256_shuffle_ps(ab, cd, 0x44) + _mm256_shuffle_ps(ab, cd, 0xee);
    return _mm256_castps256_ps128(sums) + _mm256_extractf128_ps(sums, 1);
  }

  INITRT_INLINE U widen(const std::uint8_t* p) {
    return (U)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  INITRT_INLINE void look_up_halves(const float* table, const std::uint8_t* codes, float* out) {
    const auto bytes = (__m256i)widen(codes);
    const F low = load(table), high = load(table + 8);
    const F even = entry(low, high, _mm256_srli_epi32(bytes, 4)), odd = entry(low, high, bytes);
    const F first = _mm256_unpacklo_ps(even, odd), second = _mm256_unpackhi_ps(even, odd);
    store(out, _mm256_permute2f128_ps(first, second, 0x20));
    store(out + 8, _mm256_permute2f128_ps(first, second, 0x31));
  }
  /// By the lowest four bits.
  INITRT_INLINE F entry(F low, F high, __m256i index) {
    const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));  // bit 3 as the sign
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                            _mm256_permutevar8x32_ps(high, index), upper);
  }
  INITRT_INLINE F set1_f16(std::uint16_t bits) {
    return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<short>(bits)));
  }
  INITRT_INLINE F from_f16(H h) { return _mm256_cvtph_ps((__m128i)h); }
  INITRT_INLINE H to_f16(F f) { return (H)_mm256_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT); }
};

}  // namespace

constinit const Kernels avx2_kernels = make_kernels<Avx2>();

}  // namespace initrt::cpu
