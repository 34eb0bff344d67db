// Products of bf16 inputs with codes in AVX-512 with BF16: decoders, and a product of one row of
// inputs that meets numbers as they are decoded. Included by that kernel file alone.
#pragma once

#include "runtime/device/cpu/kernels_linear.h"
#include "runtime/device/cpu/kernels_pair_blocks.h"

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

/// All of a block.
template <class Block, class Put>
INITRT_INLINE void decode_block(const std::uint8_t* block, const std::byte* scales, Put put) {
  const typename Block::Shared shared = Block::start(block);
#pragma GCC unroll 4
  for (std::size_t part = 0; part < Block::parts; ++part) {
    Block::part(block, scales, shared, part, put);
  }
}

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
    decode_block<Block>(block, scales, store);
    block += Block::bytes;
    if constexpr (Block::has_scales) scales += sizeof(float);
    to += Block::elements;
  }
  if constexpr (Block::has_scales) {
    if (columns > 0) decode_block<Block>(LastCodes::of(block, columns).bytes, scales, store);
  }
}

/// Scales of a tile's rows that are codes, some blocks' at a time, as the floats that blocks take.
template <class Block>
class TileScales {
 public:
  TileScales(const CodedBlock& product, const std::byte* const (&rows)[tile_outputs])
      : product_(product) {
    for (std::size_t i = 0; i < tile_outputs; ++i) rows_[i] = rows[i];
  }
  /// Before each block. @param scales of each row's block: set where they are not there yet
  [[gnu::always_inline]] void advance(const std::byte* (&scales)[tile_outputs]) {
    if constexpr (Block::coded_scales) {
      if (block_ % at_once == 0) decode(scales);
      ++block_;
    }
  }

 private:
  static constexpr std::size_t at_once = 16;

  void decode(const std::byte* (&scales)[tile_outputs]) {
    const std::size_t left = (product_.in_columns + Block::elements - 1) / Block::elements - block_;
    for (std::size_t i = 0; i < tile_outputs; ++i) {
      decode_coded_scales(rows_[i], product_.in_columns, block_, left < at_once ? left : at_once,
                          floats_[i]);
      scales[i] = reinterpret_cast<const std::byte*>(floats_[i]);
      prefetch<at_once>(reinterpret_cast<const std::uint8_t*>(rows_[i]) + block_,
                        tile_outputs * product_.scale_row_bytes);
    }
  }

  const CodedBlock& product_;
  const std::byte* rows_[tile_outputs];
  float floats_[tile_outputs][at_once];
  std::size_t block_ = 0;
};

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
    TileScales<Block> coded(product, scales);
    Avx512::F sums[tile_outputs] = {};
    const auto* in = static_cast<const std::uint16_t*>(product.in);
    std::size_t columns = product.in_columns;
    const std::uint8_t* next = blocks[0] + ahead;
    for (; columns >= Block::elements; columns -= Block::elements) {
      coded.advance(scales);
      typename Block::Shared shared[tile_outputs];
#pragma GCC unroll 4
      for (std::size_t i = 0; i < tile_outputs; ++i) {
        prefetch<Block::bytes>(next, 0);  // in the order of memory
        next += Block::bytes;
        if constexpr (Block::has_scales && !Block::coded_scales) {
          prefetch<4>(reinterpret_cast<const std::uint8_t*>(scales[i]),
                      tile_outputs * product.scale_row_bytes);
        }
        shared[i] = Block::start(blocks[i]);
      }
#pragma GCC unroll 4
      for (std::size_t part = 0; part < Block::parts; ++part) {
#pragma GCC unroll 4
        for (std::size_t i = 0; i < tile_outputs; ++i) {  // four sums in turn
          Block::part(
              blocks[i], scales[i], shared[i],
              part, [&](std::size_t at, __m512i numbers) __attribute__((always_inline)) {
                sums[i] = Dot::accumulate(sums[i], (__m512bh)numbers, Dot::inputs(in + at * 32));
              });
        }
      }
      for (std::size_t i = 0; i < tile_outputs; ++i) {
        blocks[i] += Block::bytes;
        if constexpr (Block::has_scales) scales[i] += sizeof(float);
      }
      in += Block::elements;
    }
    if constexpr (Block::has_scales) {
      if (columns > 0) coded.advance(scales);
      for (std::size_t i = 0; i < tile_outputs && columns > 0; ++i) {
        const LastCodes last = LastCodes::of(blocks[i], columns);
        decode_block<Block>(
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
        .group_scale_bytes = Block::has_scales ? coded_group / Block::elements * sizeof(float) : 0,
        .decode_scales = Block::coded_scales ? decode_coded_scales : nullptr};
  }
  static consteval Decoder of(std::size_t format) {
    const Decoder decoders[format_count] = {{},
                                            {},
                                            with<FourBitPairs<Nf4>>(),
                                            with<FourBitPairs<Fp4>>(),
                                            with<FourBitPairs<Dq<Nf4>>>(),
                                            with<FourBitPairs<Dq<Fp4>>>(),
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
