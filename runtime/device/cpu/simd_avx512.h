// The traits of AVX-512 (F, BW, DQ, VL), shared by its two kernel files.
#pragma once

#include <immintrin.h>

#include "runtime/device/cpu/kernels_decoders.h"

namespace initrt::cpu {
namespace {

struct Avx512 : Vectors<16> {
#ifdef INITRT_SMALL_TILES
  static constexpr std::size_t tile_rows = 2;
#else
  static constexpr std::size_t tile_rows = 6;  // 24 sums, 6 inputs and a weight of 32 registers
  static constexpr std::size_t tall_tile_rows = 8;  // 24 sums, 3 weights and an input
#endif
  static constexpr std::size_t value_vectors = 4;
  using Bf16Dot = WidenedDot<Avx512, AsBf16<Avx512>>;
  using Bf16Decoders = Decoders<Avx512, FloatPanel<Avx512, AsBf16<Avx512>>>;

  /// Thirty-two codes widened to 16 bits, whose products are added in pairs.
  struct Int8Codes {
    using Weights = __m512i;
    using Inputs = __m512i;
    using Sums = __m512i;
    static constexpr std::size_t step = 32;
    static constexpr std::uint32_t weight_offset = 0;
    INITRT_INLINE Weights weights(const std::uint8_t* p) {
      return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    INITRT_INLINE Weights weights_tail(const std::uint8_t* p, std::size_t n) {
      return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8((1u << n) - 1, p));
    }
    INITRT_INLINE Inputs inputs(const std::uint8_t* p) { return weights(p); }
    INITRT_INLINE Sums accumulate(Sums sum, Weights w, Inputs x) {
      return _mm512_add_epi32(sum, _mm512_madd_epi16(w, x));
    }
    INITRT_INLINE VectorTypes<4>::U reduce4(Sums a, Sums b, Sums c, Sums d) {
      return added_lanes(a, b, c, d);
    }
  };

  using Vectors<16>::load;

  INITRT_INLINE __mmask16 first(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1); }
  INITRT_INLINE F load_tail(const float* p, std::size_t n) {
    return _mm512_maskz_loadu_ps(first(n), p);
  }
  INITRT_INLINE H load_tail(const std::uint16_t* p, std::size_t n) {
    return (H)_mm256_maskz_loadu_epi16(first(n), p);
  }
  INITRT_INLINE void store_tail(float* p, F v, std::size_t n) {
    _mm512_mask_storeu_ps(p, first(n), v);
  }
  INITRT_INLINE void store_tail(std::uint16_t* p, H v, std::size_t n) {
    _mm256_mask_storeu_epi16(p, first(n), (__m256i)v);
  }

  INITRT_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }

  /// One sum per argument, every lane in the same tree: (0 + 2) + (1 + 3) in each quarter, then
  /// the quarters likewise.
  INITRT_INLINE F4 reduce4(F a, F b, F c, F d) {
    const F ab = _mm512_unpacklo_ps(a, b) + _mm512_unpackhi_ps(a, b);
    const F cd = _mm512_unpacklo_ps(c, d) + _mm512_unpackhi_ps(c, d);
    const F sums = _mm512_shuffle_ps(ab, cd, 0x44) + _mm512_shuffle_ps(ab, cd, 0xee);
    const __m256 halves = _mm512_castps512_ps256(sums) + _mm512_extractf32x8_ps(sums, 1);
    return _mm256_castps256_ps128(halves) + _mm256_extractf128_ps(halves, 1);
  }

  INITRT_INLINE U widen(const std::uint8_t* p) {
    return (U)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  INITRT_INLINE B low_bytes(U v) { return (B)_mm512_cvtepi32_epi8((__m512i)v); }
  INITRT_INLINE void look_up_halves(const float* table, const std::uint8_t* codes, float* out) {
    const auto bytes = (__m512i)widen(codes);  // the lowest four bits of an index count
    const F even = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), load(table));
    const F odd = _mm512_permutexvar_ps(bytes, load(table));
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    store(out, _mm512_permutex2var_ps(even, first, odd));
    store(out + 16,
          _mm512_permutex2var_ps(even, _mm512_add_epi32(first, _mm512_set1_epi32(8)), odd));
  }
  INITRT_INLINE F set1_f16(std::uint16_t bits) {
    return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(bits)));
  }

  /// The sums of each argument's lanes.
  INITRT_INLINE VectorTypes<4>::U added_lanes(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i sums =
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i halves =
        _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
    return (VectorTypes<4>::U)_mm_add_epi32(_mm256_castsi256_si128(halves),
                                            _mm256_extracti128_si256(halves, 1));
  }

  INITRT_INLINE F from_bf16(H h) {
    return (F)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)h), 16);
  }
  INITRT_INLINE F from_f16(H h) { return _mm512_cvtph_ps((__m256i)h); }
  INITRT_INLINE H to_f16(F f) { return (H)_mm512_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT); }
};

}  // namespace
}  // namespace initrt::cpu
