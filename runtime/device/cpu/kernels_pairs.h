// Codes to bf16 numbers with AVX-512: the few numbers that a block's codes can stand for are
// computed and rounded once, and each code then picks one. Included by the kernel file of AVX-512
// with BF16 alone.
#pragma once

#include "runtime/device/cpu/kernels_linear.h"
#include "runtime/device/cpu/simd_avx512.h"

namespace initrt::cpu {
namespace {

/// How bf16 numbers meet in pairs.
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

INITRT_INLINE Avx512::F counting() {
  return Avx512::F{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
}

INITRT_INLINE __m128i load16(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
INITRT_INLINE __m256i load32(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/// Sixteen numbers, twice, so that a lookup takes no heed of a code's fifth bit.
INITRT_INLINE __m512i table_of(Avx512::F numbers) {
  return _mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh(numbers));
}
INITRT_INLINE __m512i table_of(Avx512::F low, Avx512::F high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/// Numbers of the table's by the lowest five bits of 32 words.
INITRT_INLINE __m512i look_up(__m512i table, __m512i words) {
  return _mm512_permutexvar_epi16(words, table);
}

/// Each of these gives the numbers of a block to `put(i, numbers)`, 32 at a time.
template <class Format>
struct FourBitPairs {
  static constexpr std::size_t elements = four_bit_block, bytes = four_bit_block / 2;
  static constexpr bool has_scales = true;
  template <class Put>
  INITRT_INLINE void decode(const std::uint8_t* codes, const std::byte* scales, Put put) {
    float scale;
    __builtin_memcpy(&scale, scales, sizeof scale);
    const __m512i table = table_of(Avx512::load(Format::values) * Avx512::set1(scale));
    // Each lane of 128 bits gets its four bytes four times; of two words that hold a byte twice,
    // the first is moved down to the byte's upper half.
    const __m512i four_times =
        _mm512_setr_epi32(0x00000000, 0x01010101, 0x02020202, 0x03030303, 0x04040404, 0x05050505,
                          0x06060606, 0x07070707, 0x08080808, 0x09090909, 0x0a0a0a0a, 0x0b0b0b0b,
                          0x0c0c0c0c, 0x0d0d0d0d, 0x0e0e0e0e, 0x0f0f0f0f);
    const __m512i down = _mm512_set1_epi32(4);
    for (std::size_t i = 0; i < 2; ++i) {
      const __m512i both = _mm512_broadcast_i32x4(load16(codes + i * 16));
      put(i, look_up(table, _mm512_srlv_epi16(_mm512_shuffle_epi8(both, four_times), down)));
    }
  }
};

/// Sixteen bytes of two codes each: words of all lower halves, then of all upper.
INITRT_INLINE __m512i lower_then_upper(const std::uint8_t* codes) {
  const __m512i words = _mm512_cvtepu8_epi16(_mm256_broadcastsi128_si256(load16(codes)));
  const __m512i down = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
  return _mm512_srlv_epi16(words, down);
}

struct PairsQ4_0 {
  static constexpr std::size_t elements = BlockQ4_0::elements, bytes = BlockQ4_0::bytes;
  static constexpr bool has_scales = false;
  template <class Put>
  INITRT_INLINE void decode(const std::uint8_t* block, const std::byte*, Put put) {
    const __m512i table = table_of(half<Avx512>(block) * (counting() - 8.0f));
    put(0, look_up(table, lower_then_upper(block + 2)));
  }
};

struct PairsQ4_1 {
  static constexpr std::size_t elements = BlockQ4_1::elements, bytes = BlockQ4_1::bytes;
  static constexpr bool has_scales = false;
  template <class Put>
  INITRT_INLINE void decode(const std::uint8_t* block, const std::byte*, Put put) {
    const __m512i table = table_of(half<Avx512>(block) * counting() + half<Avx512>(block + 2));
    put(0, look_up(table, lower_then_upper(block + 4)));
  }
};

/// Sixteen signed bytes as numbers.
INITRT_INLINE Avx512::F signed_bytes(__m128i bytes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

struct PairsQ8_0 {
  static constexpr std::size_t elements = BlockQ8_0::elements, bytes = BlockQ8_0::bytes;
  static constexpr bool has_scales = false;
  template <class Put>
  INITRT_INLINE void decode(const std::uint8_t* block, const std::byte*, Put put) {
    const Avx512::F d = half<Avx512>(block);
    const Avx512::F low = signed_bytes(load16(block + 2)), up = signed_bytes(load16(block + 18));
    put(0, table_of(d * low, d * up));
  }
};

template <bool five>
struct PairsQ45K {
  using Block = BlockQ45K<five>;
  static constexpr std::size_t elements = Block::elements, bytes = Block::bytes;
  static constexpr bool has_scales = false;
  template <class Put>
  INITRT_INLINE void decode(const std::uint8_t* block, const std::byte*, Put put) {
    const GroupScales groups = group_scales(block + 4);
    // Scales in the lower eight lanes, minima in the upper.
    const Avx512::F factors =
        _mm512_insertf32x8(half<Avx512>(block), _mm512_castps512_ps256(half<Avx512>(block + 2)), 1);
    alignas(64) float scaled[16];
    Avx512::store(scaled, factors * _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(
                                        load16(reinterpret_cast<const std::uint8_t*>(&groups)))));
    const std::uint8_t* codes = block + (five ? 48 : 16);
    __m512i high{};
    if constexpr (five) high = _mm512_slli_epi16(_mm512_cvtepu8_epi16(load32(block + 16)), 4);
#pragma GCC unroll 4
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const std::size_t even = pair * 2, odd = even + 1;
      const __m512i low = _mm512_cvtepu8_epi16(load32(codes + pair * 32));
      const __m512i up = _mm512_srli_epi16(low, 4);
      const Avx512::F d0 = Avx512::set1(scaled[even]), m0 = Avx512::set1(scaled[8 + even]);
      const Avx512::F d1 = Avx512::set1(scaled[odd]), m1 = Avx512::set1(scaled[8 + odd]);
      const Avx512::F first0 = d0 * counting() - m0, first1 = d1 * counting() - m1;
      if constexpr (five) {
        const Avx512::F rest = counting() + 16.0f;
        put(even, look_up(table_of(first0, d0 * rest - m0), with_fifth(low, high, even)));
        put(odd, look_up(table_of(first1, d1 * rest - m1), with_fifth(up, high, odd)));
      } else {
        put(even, look_up(table_of(first0), low));
        put(odd, look_up(table_of(first1), up));
      }
    }
  }

 private:
  /// The fifth bit is bit `group` + 4 of `high`.
  INITRT_INLINE __m512i with_fifth(__m512i codes, __m512i high, std::size_t group) {
    const __m512i bits = _mm512_srli_epi16(high, static_cast<unsigned>(group));
    return _mm512_ternarylogic_epi64(_mm512_set1_epi16(16), bits, codes, 0xca);  // mask ? b : c
  }
};

struct PairsQ6_K {
  static constexpr std::size_t elements = BlockQ6_K::elements, bytes = BlockQ6_K::bytes;
  static constexpr bool has_scales = false;
  template <class Put>
  INITRT_INLINE void decode(const std::uint8_t* block, const std::byte*, Put put) {
    alignas(64) float scales[16];
    Avx512::store(scales, half<Avx512>(block + 208) * signed_bytes(load16(block + 192)));
    for (std::size_t upper = 0; upper < 2; ++upper) {
      const __m256i low0 = load32(block + upper * 64), low1 = load32(block + upper * 64 + 32),
                    high = load32(block + 128 + upper * 32);
      const float* scale = scales + upper * 8;
      put(upper * 4, numbers(low0, _mm256_slli_epi16(high, 4), scale));
      put(upper * 4 + 1, numbers(low1, _mm256_slli_epi16(high, 2), scale + 2));
      put(upper * 4 + 2, numbers(_mm256_srli_epi16(low0, 4), high, scale + 4));
      put(upper * 4 + 3,
          numbers(_mm256_srli_epi16(low1, 4), _mm256_srli_epi16(high, 2), scale + 6));
    }
  }

 private:
  /// 32 codes: the lower four bits of `low`'s bytes, and bits 4 and 5 of `high`'s.
  INITRT_INLINE __m512i numbers(__m256i low, __m256i high, const float* scales) {
    const __m256i codes =
        _mm256_sub_epi8(_mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)),
                                        _mm256_and_si256(high, _mm256_set1_epi8(48))),
                        _mm256_set1_epi8(32));
    const Avx512::F first = signed_bytes(_mm256_castsi256_si128(codes)),
                    second = signed_bytes(_mm256_extracti128_si256(codes, 1));
    return table_of(Avx512::set1(scales[0]) * first, Avx512::set1(scales[1]) * second);
  }
};

/// A Decoder's decode().
template <class Block>
void decode_pairs(const std::byte* codes, const std::byte* scales, std::size_t columns,
                  std::size_t ahead, void* out) {
  const auto* block = reinterpret_cast<const std::uint8_t*>(codes);
  auto* to = static_cast<std::uint16_t*>(out);
  const auto store = [&](std::size_t i, __m512i numbers) __attribute__((always_inline)) {
    _mm512_storeu_si512(to + i * 32, numbers);
  };
  for (; columns >= Block::elements; columns -= Block::elements) {
    prefetch<Block::bytes>(block, ahead);
    Block::decode(block, scales, store);
    block += Block::bytes;
    scales += sizeof(float);
    to += Block::elements;
  }
  if constexpr (Block::has_scales) {
    if (columns > 0) Block::decode(LastCodes::of(block, columns).bytes, scales, store);
  }
}

/// A Decoder's linear_row(): numbers meet the inputs as soon as they are decoded.
template <class Block>
void linear_row(const CodedBlock& product) {
  using Dot = Bf16PairsDot;
  const std::size_t ahead = tile_outputs * product.row_bytes;
  for (std::size_t o = 0; o < product.out_columns; o += tile_outputs) {
    const std::size_t left = product.out_columns - o;
    const std::size_t outputs = left < tile_outputs ? left : tile_outputs;
    const std::uint8_t* blocks[tile_outputs];
    const std::byte* scales[tile_outputs];
    for (std::size_t i = 0; i < tile_outputs; ++i) {  // past the last row, the last row again
      const std::size_t row = o + (i < outputs ? i : outputs - 1);
      blocks[i] = reinterpret_cast<const std::uint8_t*>(product.codes) + row * product.row_bytes;
      scales[i] = product.scales + row * product.scale_row_bytes;
    }
    Avx512::F sums[tile_outputs] = {};
    const auto* in = static_cast<const std::uint16_t*>(product.in);
    std::size_t columns = product.in_columns;
    for (; columns >= Block::elements; columns -= Block::elements) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < tile_outputs; ++i) {
        prefetch<Block::bytes>(blocks[i], ahead);
        Block::decode(
            blocks[i],
            scales[i], [&](std::size_t part, __m512i numbers) __attribute__((always_inline)) {
              sums[i] = Dot::accumulate(sums[i], (__m512bh)numbers, Dot::inputs(in + part * 32));
            });
        blocks[i] += Block::bytes;
        scales[i] += sizeof(float);
      }
      in += Block::elements;
    }
    if constexpr (Block::has_scales) {
      for (std::size_t i = 0; i < tile_outputs && columns > 0; ++i) {
        const LastCodes last = LastCodes::of(blocks[i], columns);
        Block::decode(
            last.bytes,
            scales[i], [&](std::size_t part, __m512i numbers) __attribute__((always_inline)) {
              if (part * 32 >= columns) return;
              const std::size_t n = columns - part * 32;
              if (n >= 32) {
                sums[i] = Dot::accumulate(sums[i], (__m512bh)numbers, Dot::inputs(in + part * 32));
              } else {
                const __m512i some = _mm512_maskz_mov_epi16((1u << n) - 1, numbers);
                sums[i] =
                    Dot::accumulate(sums[i], (__m512bh)some, Dot::inputs_tail(in + part * 32, n));
              }
            });
      }
    }
    const F4 result = Avx512::reduce4(sums[0], sums[1], sums[2], sums[3]);
    for (std::size_t i = 0; i < outputs; ++i) product.out[o + i] = result[i];
  }
}

/// As Decoders.
struct PairsDecoders {
  using Dot = Bf16PairsDot;

  template <class Block>
  static consteval Decoder with() {
    return {
        .decode = decode_pairs<Block>,
        .linear_row = linear_row<Block>,
        .group_bytes = coded_group / Block::elements * Block::bytes,
        .group_scale_bytes = Block::has_scales ? coded_group / Block::elements * sizeof(float) : 0};
  }
  static consteval Decoder of(std::size_t format) {
    const Decoder decoders[format_count] = {{},
                                            {},
                                            with<FourBitPairs<Nf4>>(),
                                            with<FourBitPairs<Fp4>>(),
                                            with<PairsQ4_0>(),
                                            with<PairsQ4_1>(),
                                            with<PairsQ8_0>(),
                                            with<PairsQ45K<false>>(),
                                            with<PairsQ45K<true>>(),
                                            with<PairsQ6_K>()};
    return decoders[format];
  }
};

}  // namespace
}  // namespace initrt::cpu
