// Codes to bf16 numbers with AVX-512: the few numbers that a block's codes can stand for are
// computed and rounded once, and each code then picks one. Numbers come 32 at a time, in order.
//
// A block's struct says how many `elements` and `bytes` it has, whether its scale lies apart, and
// in how many `parts` it is decoded. start() does what all parts share; part() gives the numbers
// from 32 * i on to put(i, numbers).
#pragma once

#include "runtime/device/cpu/kernels_decoders.h"
#include "runtime/device/cpu/simd_avx512.h"

namespace initrt::cpu {
namespace {

struct NothingShared {};

INITRT_INLINE Avx512::F counting() {
  return Avx512::F{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
}

INITRT_INLINE __m128i load16(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
INITRT_INLINE __m256i load32(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/// Four halves as numbers.
INITRT_INLINE __m128 four_halves(const std::uint8_t* p) {
  return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
INITRT_INLINE Avx512::F first_half(const std::uint8_t* p) {
  return _mm512_broadcastss_ps(four_halves(p));
}

/// Sixteen signed bytes as numbers.
INITRT_INLINE Avx512::F signed_bytes(__m128i bytes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

/// Thirty-two numbers as bf16.
INITRT_INLINE __m512i narrowed(Avx512::F low, Avx512::F high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/// Those of sixteen numbers, as bf16, that 32 words of less than 16 pick.
INITRT_INLINE __m512i pick(Avx512::F numbers, __m512i words) {
  const auto table = (__m256i)_mm512_cvtneps_pbh(numbers);
  return _mm512_permutexvar_epi16(words, _mm512_castsi256_si512(table));
}

INITRT_INLINE __m512i low_halves(__m512i words) {
  return _mm512_and_si512(words, _mm512_set1_epi16(15));
}

template <class Format>
struct FourBitPairs {
  static constexpr std::size_t elements = four_bit_block, bytes = four_bit_block / 2, parts = 1;
  static constexpr bool has_scales = true, coded_scales = Format::coded_scales;
  using Shared = NothingShared;
  INITRT_INLINE Shared start(const std::uint8_t*) { return {}; }
  template <class Put>
  INITRT_INLINE void part(const std::uint8_t* codes, const std::byte* scales, const Shared&,
                          std::size_t, Put put) {
    float scale;
    __builtin_memcpy(&scale, scales, sizeof scale);
    // The table twice, so that a lookup takes no heed of a word's fifth bit.
    const __m512i table = _mm512_broadcast_i64x4(
        (__m256i)_mm512_cvtneps_pbh(Avx512::load(Format::values) * Avx512::set1(scale)));
    // Each lane of 128 bits gets its four bytes four times; of two words that hold a byte twice,
    // the first is moved down to the byte's upper half.
    const __m512i four_times =
        _mm512_setr_epi32(0x00000000, 0x01010101, 0x02020202, 0x03030303, 0x04040404, 0x05050505,
                          0x06060606, 0x07070707, 0x08080808, 0x09090909, 0x0a0a0a0a, 0x0b0b0b0b,
                          0x0c0c0c0c, 0x0d0d0d0d, 0x0e0e0e0e, 0x0f0f0f0f);
    const __m512i down = _mm512_set1_epi32(4);
    for (std::size_t i = 0; i < 2; ++i) {
      const __m512i both = _mm512_broadcast_i32x4(load16(codes + i * 16));
      const __m512i words = _mm512_srlv_epi16(_mm512_shuffle_epi8(both, four_times), down);
      put(i, _mm512_permutexvar_epi16(words, table));
    }
  }
};

/// Sixteen bytes of two codes each: words of all lower halves, then of all upper.
INITRT_INLINE __m512i lower_then_upper(const std::uint8_t* codes) {
  const __m512i words = _mm512_cvtepu8_epi16(_mm256_broadcastsi128_si256(load16(codes)));
  const __m512i down = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
  return low_halves(_mm512_srlv_epi16(words, down));
}

/// What is the same in GGUF's small blocks: all in one part.
template <class Block>
struct SmallPairs {
  static constexpr std::size_t elements = Block::elements, bytes = Block::bytes, parts = 1;
  static constexpr bool has_scales = false, coded_scales = false;
  using Shared = NothingShared;
  INITRT_INLINE Shared start(const std::uint8_t*) { return {}; }
};

struct PairsQ4_0 : SmallPairs<BlockQ4_0> {
  template <class Put>
  INITRT_INLINE void part(const std::uint8_t* block, const std::byte*, const Shared&, std::size_t,
                          Put put) {
    put(0, pick(first_half(block) * (counting() - 8.0f), lower_then_upper(block + 2)));
  }
};

struct PairsQ4_1 : SmallPairs<BlockQ4_1> {
  template <class Put>
  INITRT_INLINE void part(const std::uint8_t* block, const std::byte*, const Shared&, std::size_t,
                          Put put) {
    const __m128 halves = four_halves(block);
    const Avx512::F d = _mm512_broadcastss_ps(halves),
                    m = _mm512_broadcastss_ps(_mm_movehdup_ps(halves));
    put(0, pick(d * counting() + m, lower_then_upper(block + 4)));
  }
};

struct PairsQ8_0 : SmallPairs<BlockQ8_0> {
  template <class Put>
  INITRT_INLINE void part(const std::uint8_t* block, const std::byte*, const Shared&, std::size_t,
                          Put put) {
    const Avx512::F d = first_half(block);
    put(0, narrowed(d * signed_bytes(load16(block + 2)), d * signed_bytes(load16(block + 18))));
  }
};

template <bool five>
struct PairsQ45K {
  using Block = BlockQ45K<five>;
  static constexpr std::size_t elements = Block::elements, bytes = Block::bytes, parts = 4;
  static constexpr bool has_scales = false, coded_scales = false;
  struct Shared {
    alignas(64) float scaled[16];  ///< scales of the eight groups, then minima
  };
  INITRT_INLINE Shared start(const std::uint8_t* block) {
    const __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const Avx512::F factors =
        _mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(four_halves(block)));
    Shared shared;
    Avx512::store(shared.scaled,
                  factors * _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(unpacked(load16(block + 4)))));
    return shared;
  }
  template <class Put>
  INITRT_INLINE void part(const std::uint8_t* block, const std::byte*, const Shared& shared,
                          std::size_t part, Put put) {
    const std::size_t even = part * 2, odd = even + 1;
    const __m512i codes = _mm512_cvtepu8_epi16(load32(block + (five ? 48 : 16) + part * 32));
    const __m512i low = low_halves(codes), up = _mm512_srli_epi16(codes, 4);
    const Avx512::F d0 = Avx512::set1(shared.scaled[even]),
                    m0 = Avx512::set1(shared.scaled[8 + even]);
    const Avx512::F d1 = Avx512::set1(shared.scaled[odd]),
                    m1 = Avx512::set1(shared.scaled[8 + odd]);
    const Avx512::F first0 = d0 * counting() - m0, first1 = d1 * counting() - m1;
    if constexpr (five) {
      const Avx512::F rest = counting() + 16.0f;
      const __m512i high = _mm512_slli_epi16(_mm512_cvtepu8_epi16(load32(block + 16)), 4);
      put(even, _mm512_permutexvar_epi16(with_fifth(codes, high, even),
                                         narrowed(first0, d0 * rest - m0)));
      put(odd,
          _mm512_permutexvar_epi16(with_fifth(up, high, odd), narrowed(first1, d1 * rest - m1)));
    } else {
      put(even, pick(first0, low));
      put(odd, pick(first1, up));
    }
  }

 private:
  /// As group_scales(), of 12 bytes and 4 that do not matter.
  INITRT_INLINE __m128i unpacked(__m128i packed) {
    const __m128i low = _mm_srlv_epi32(_mm_shuffle_epi32(packed, _MM_SHUFFLE(2, 1, 2, 0)),
                                       _mm_setr_epi32(0, 0, 0, 4));
    const __m128i high = _mm_srli_epi32(_mm_shuffle_epi32(packed, _MM_SHUFFLE(1, 1, 0, 0)), 2);
    const __m128i six = _mm_setr_epi32(0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f);
    const __m128i upper = _mm_setr_epi32(0, 0x30303030, 0, 0x30303030);
    return _mm_or_si128(_mm_and_si128(low, six), _mm_and_si128(high, upper));
  }

  /// The fifth bit is bit `group` + 4 of `high`.
  INITRT_INLINE __m512i with_fifth(__m512i codes, __m512i high, std::size_t group) {
    const __m512i bits = _mm512_srli_epi16(high, static_cast<unsigned>(group));
    return _mm512_ternarylogic_epi64(_mm512_set1_epi16(16), bits, codes, 0xca);  // mask ? b : c
  }
};

struct PairsQ6_K {
  static constexpr std::size_t elements = BlockQ6_K::elements, bytes = BlockQ6_K::bytes, parts = 2;
  static constexpr bool has_scales = false, coded_scales = false;
  struct Shared {
    alignas(64) float scales[16];  ///< of sixteen codes each
  };
  INITRT_INLINE Shared start(const std::uint8_t* block) {
    Shared shared;
    Avx512::store(shared.scales, half<Avx512>(block + 208) * signed_bytes(load16(block + 192)));
    return shared;
  }
  template <class Put>
  INITRT_INLINE void part(const std::uint8_t* block, const std::byte*, const Shared& shared,
                          std::size_t part, Put put) {
    const __m256i low0 = load32(block + part * 64), low1 = load32(block + part * 64 + 32),
                  high = load32(block + 128 + part * 32);
    const float* scales = shared.scales + part * 8;
    put(part * 4, numbers(low0, _mm256_slli_epi16(high, 4), scales));
    put(part * 4 + 1, numbers(low1, _mm256_slli_epi16(high, 2), scales + 2));
    put(part * 4 + 2, numbers(_mm256_srli_epi16(low0, 4), high, scales + 4));
    put(part * 4 + 3, numbers(_mm256_srli_epi16(low1, 4), _mm256_srli_epi16(high, 2), scales + 6));
  }

 private:
  /// 32 codes: the lower four bits of `low`'s bytes, and bits 4 and 5 of `high`'s.
  INITRT_INLINE __m512i numbers(__m256i low, __m256i high, const float* scales) {
    const __m256i both =  // mask ? low : high
        _mm256_ternarylogic_epi64(_mm256_set1_epi8(15), low, high, 0xca);
    const __m256i codes =
        _mm256_sub_epi8(_mm256_and_si256(both, _mm256_set1_epi8(63)), _mm256_set1_epi8(32));
    const Avx512::F first = signed_bytes(_mm256_castsi256_si128(codes)),
                    second = signed_bytes(_mm256_extracti128_si256(codes, 1));
    return narrowed(Avx512::set1(scales[0]) * first, Avx512::set1(scales[1]) * second);
  }
};

}  // namespace
}  // namespace initrt::cpu
