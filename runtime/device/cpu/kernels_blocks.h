// GGUF's blocks to numbers, for every instruction set: layouts and the order of operations are
// those of runtime/convert/decode.h, so that a weight that is held in blocks has the bits of one
// that was decoded while it was loaded.
#pragma once

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/simd.h"

namespace initrt::cpu {
namespace {

/// Decoded numbers as float32 that a storage type can hold.
template <class S, class Element>
struct FloatPanel {
  using Number = float;
  using Dot = WidenedDot<S, AsF32<S>>;
  INITRT_INLINE void put(float* out, typename S::F v) { S::store(out, Element::rounded(v)); }
};

template <class S>
INITRT_INLINE typename S::F signed_float(typename S::U v) {
  return __builtin_convertvector((typename S::I)v, typename S::F);
}

/// The half at `p` in each lane.
template <class S>
INITRT_INLINE typename S::F half(const std::uint8_t* p) {
  std::uint16_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return S::set1_f16(bits);
}

/// Brings what lies `ahead` bytes from the `size` bytes at `p` into the cache. That may be past the
/// matrix: prefetches never fault.
template <std::size_t size>
INITRT_INLINE void prefetch(const std::uint8_t* p, std::size_t ahead) {
  const auto at = reinterpret_cast<std::uintptr_t>(p) + ahead;
  for (std::size_t i = 0; i < size; i += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(at + i), 0, 3);
  }
}

struct BlockQ4_0 {
  static constexpr std::size_t elements = 32, bytes = 18;
  template <class S, class Panel>
  INITRT_INLINE void decode(const std::uint8_t* block, typename Panel::Number* out) {
    const typename S::F d = half<S>(block);
    for (std::size_t i = 0; i < 16; i += S::lanes) {
      const typename S::U code = S::widen(block + 2 + i);
      Panel::put(out + i, d * signed_float<S>((code & 15u) - 8u));
      Panel::put(out + 16 + i, d * signed_float<S>((code >> 4) - 8u));
    }
  }
};

struct BlockQ4_1 {
  static constexpr std::size_t elements = 32, bytes = 20;
  template <class S, class Panel>
  INITRT_INLINE void decode(const std::uint8_t* block, typename Panel::Number* out) {
    const typename S::F d = half<S>(block), m = half<S>(block + 2);
    for (std::size_t i = 0; i < 16; i += S::lanes) {
      const typename S::U code = S::widen(block + 4 + i);
      Panel::put(out + i, d * signed_float<S>(code & 15u) + m);
      Panel::put(out + 16 + i, d * signed_float<S>(code >> 4) + m);
    }
  }
};

struct BlockQ8_0 {
  static constexpr std::size_t elements = 32, bytes = 34;
  template <class S, class Panel>
  INITRT_INLINE void decode(const std::uint8_t* block, typename Panel::Number* out) {
    const typename S::F d = half<S>(block);
    for (std::size_t i = 0; i < 32; i += S::lanes) {
      Panel::put(out + i, d * signed_float<S>((S::widen(block + 2 + i) ^ 128u) - 128u));
    }
  }
};

/// Scales and minima of the eight groups of Q4_K and Q5_K: six bits each in 12 bytes.
struct GroupScales {
  std::uint8_t scales[8], minima[8];
};
INITRT_INLINE GroupScales group_scales(const std::uint8_t* packed) {
  std::uint32_t a, b, c;
  __builtin_memcpy(&a, packed, 4);
  __builtin_memcpy(&b, packed + 4, 4);
  __builtin_memcpy(&c, packed + 8, 4);
  const std::uint32_t words[4] = {a & 0x3f3f3f3fu, (c & 0x0f0f0f0fu) | (a >> 2 & 0x30303030u),
                                  b & 0x3f3f3f3fu, (c >> 4 & 0x0f0f0f0fu) | (b >> 2 & 0x30303030u)};
  GroupScales groups;
  __builtin_memcpy(&groups, words, sizeof words);
  return groups;
}

template <bool five>
struct BlockQ45K {
  static constexpr std::size_t elements = 256, bytes = five ? 176 : 144;
  template <class S, class Panel>
  INITRT_INLINE void decode(const std::uint8_t* block, typename Panel::Number* out) {
    const float d = half<S>(block)[0], dmin = half<S>(block + 2)[0];
    const GroupScales groups = group_scales(block + 4);
    const std::uint8_t* high = block + 16;
    const std::uint8_t* codes = block + (five ? 48 : 16);
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const std::size_t even = pair * 2, odd = even + 1;
      const typename S::F d0 = S::set1(d * static_cast<float>(groups.scales[even])),
                          d1 = S::set1(d * static_cast<float>(groups.scales[odd])),
                          m0 = S::set1(dmin * static_cast<float>(groups.minima[even])),
                          m1 = S::set1(dmin * static_cast<float>(groups.minima[odd]));
      for (std::size_t i = 0; i < 32; i += S::lanes) {
        const typename S::U both = S::widen(codes + pair * 32 + i);
        typename S::U low = both & 15u, up = both >> 4;
        if constexpr (five) {
          const typename S::U bits = S::widen(high + i) >> static_cast<std::uint32_t>(even);
          low |= (bits & 1u) << 4;
          up |= (bits & 2u) << 3;
        }
        Panel::put(out + even * 32 + i, d0 * signed_float<S>(low) - m0);
        Panel::put(out + odd * 32 + i, d1 * signed_float<S>(up) - m1);
      }
    }
  }
};
using BlockQ4_K = BlockQ45K<false>;
using BlockQ5_K = BlockQ45K<true>;

struct BlockQ6_K {
  static constexpr std::size_t elements = 256, bytes = 210;
  template <class S, class Panel>
  INITRT_INLINE void decode(const std::uint8_t* block, typename Panel::Number* out) {
    const float d = half<S>(block + 208)[0];
    const auto* scales = reinterpret_cast<const std::int8_t*>(block + 192);
    for (std::size_t upper = 0; upper < 2; ++upper) {
      for (std::size_t i = 0; i < 32; i += S::lanes) {
        const typename S::U low0 = S::widen(block + upper * 64 + i),
                            low1 = S::widen(block + upper * 64 + 32 + i),
                            high = S::widen(block + 128 + upper * 32 + i);
        const typename S::U codes[4] = {
            (low0 & 15u) | (high & 3u) << 4, (low1 & 15u) | (high & 12u) << 2,
            (low0 >> 4) | (high & 48u), (low1 >> 4) | (high & 192u) >> 2};
        for (std::size_t g = 0; g < 4; ++g) {
          const std::size_t at = upper * 128 + g * 32 + i;
          const std::int8_t factor = scales[at / 16];
          const typename S::F scale = S::set1(d * static_cast<float>(factor));
          Panel::put(out + at, scale * signed_float<S>(codes[g] - 32u));
        }
      }
    }
  }
};

/// A Decode (kernels.h) of such blocks.
template <class S, class Panel, class Block>
void decode_blocks(const std::byte* codes, const std::byte*, std::size_t columns, std::size_t ahead,
                   void* out) {
  const auto* block = reinterpret_cast<const std::uint8_t*>(codes);
  auto* to = static_cast<typename Panel::Number*>(out);
  for (std::size_t k = 0; k < columns; k += Block::elements, block += Block::bytes) {
    prefetch<Block::bytes>(block, ahead);
    Block::template decode<S, Panel>(block, to + k);
  }
}

}  // namespace
}  // namespace initrt::cpu
