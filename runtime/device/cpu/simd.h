// What the kernel templates share below the level of intrinsics: vector types of a given number of
// lanes (compiler vector extensions) and the operations that need no instruction by name.
// An instruction set's traits struct inherits from Vectors and hides what it does better.
#pragma once

#include <cstddef>
#include <cstdint>

#define INITRT_INLINE [[gnu::always_inline]] static inline

namespace initrt::cpu {
namespace {  // see kernels.h: one private copy for each instruction set

using F4 [[gnu::vector_size(16)]] = float;

/// Vectors by number of lanes, written out: g++ 12 mistakes vector types of dependent size for
/// their element types.
template <std::size_t lanes>
struct VectorTypes;
template <>
struct VectorTypes<4> {
  using F [[gnu::vector_size(16)]] = float;
  using I [[gnu::vector_size(16)]] = std::int32_t;
  using U [[gnu::vector_size(16)]] = std::uint32_t;
  using H [[gnu::vector_size(8)]] = std::uint16_t;
  using B [[gnu::vector_size(4)]] = std::uint8_t;
};
template <>
struct VectorTypes<8> {
  using F [[gnu::vector_size(32)]] = float;
  using I [[gnu::vector_size(32)]] = std::int32_t;
  using U [[gnu::vector_size(32)]] = std::uint32_t;
  using H [[gnu::vector_size(16)]] = std::uint16_t;
  using B [[gnu::vector_size(8)]] = std::uint8_t;
};
template <>
struct VectorTypes<16> {
  using F [[gnu::vector_size(64)]] = float;
  using I [[gnu::vector_size(64)]] = std::int32_t;
  using U [[gnu::vector_size(64)]] = std::uint32_t;
  using H [[gnu::vector_size(32)]] = std::uint16_t;
  using B [[gnu::vector_size(16)]] = std::uint8_t;
};

template <std::size_t lane_count>
struct Vectors {
  static constexpr std::size_t lanes = lane_count;
  static constexpr std::size_t tall_tile_rows = 0;  // none
  using F = typename VectorTypes<lanes>::F;
  using I = typename VectorTypes<lanes>::I;
  using U = typename VectorTypes<lanes>::U;
  using H = typename VectorTypes<lanes>::H;
  using B = typename VectorTypes<lanes>::B;

  INITRT_INLINE F set1(float x) { return x - F{}; }
  INITRT_INLINE F select(I mask, F yes, F no) { return mask ? yes : no; }

  INITRT_INLINE F load(const float* p) {
    F v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  INITRT_INLINE H load(const std::uint16_t* p) {
    H v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  /// The first n < lanes elements, then zeros; reads nothing behind them.
  INITRT_INLINE F load_tail(const float* p, std::size_t n) {
    F v{};
    __builtin_memcpy(&v, p, n * sizeof *p);
    return v;
  }
  INITRT_INLINE H load_tail(const std::uint16_t* p, std::size_t n) {
    H v{};
    __builtin_memcpy(&v, p, n * sizeof *p);
    return v;
  }
  INITRT_INLINE void store(float* p, F v) { __builtin_memcpy(p, &v, sizeof v); }
  INITRT_INLINE void store(std::uint16_t* p, H v) { __builtin_memcpy(p, &v, sizeof v); }
  INITRT_INLINE void store_tail(float* p, F v, std::size_t n) {
    __builtin_memcpy(p, &v, n * sizeof *p);
  }
  INITRT_INLINE void store_tail(std::uint16_t* p, H v, std::size_t n) {
    __builtin_memcpy(p, &v, n * sizeof *p);
  }

  /// Bytes as 32-bit lanes, and the low bytes of such lanes.
  INITRT_INLINE U widen(const std::uint8_t* p) {
    B v;
    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, U);
  }
  INITRT_INLINE B low_bytes(U v) { return __builtin_convertvector(v & 255u, B); }

  /// A half in each lane.
  INITRT_INLINE F set1_f16(std::uint16_t bits) {
    const U v = static_cast<std::uint32_t>(bits) + U{};
    return from_f16(__builtin_convertvector(v, H));
  }

  /// out[2 * i] and out[2 * i + 1] are the entries that the upper and the lower half of byte i
  /// pick, of `lanes` bytes.
  INITRT_INLINE void look_up_halves(const float* table, const std::uint8_t* codes, float* out) {
    for (std::size_t i = 0; i < lanes; ++i) {
      out[2 * i] = table[codes[i] >> 4];
      out[2 * i + 1] = table[codes[i] & 15];
    }
  }

  INITRT_INLINE F from_bf16(H h) { return (F)(__builtin_convertvector(h, U) << 16); }

  /// Rounds to nearest even; a NaN keeps its upper bits and becomes quiet.
  INITRT_INLINE H to_bf16(F f) { return __builtin_convertvector((U)rounded_to_bf16(f) >> 16, H); }
  INITRT_INLINE F rounded_to_bf16(F f) {
    const U u = (U)f;
    const U rounded = u + 0x7fffu + ((u >> 16) & 1u);
    const U nan = u | 0x400000u;
    return (F)(((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded) & 0xffff0000u);
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

/// How elements of one storage type are read as float32 vectors and written from them.
template <class S>
struct AsF32 {
  using Stored = float;
  INITRT_INLINE typename S::F load(const float* p) { return S::load(p); }
  INITRT_INLINE typename S::F load_tail(const float* p, std::size_t n) {
    return S::load_tail(p, n);
  }
  INITRT_INLINE typename S::F narrow(typename S::F v) { return v; }
  INITRT_INLINE typename S::F rounded(typename S::F v) { return v; }
};

template <class S>
struct AsBf16 {
  using Stored = std::uint16_t;
  INITRT_INLINE typename S::F load(const Stored* p) { return S::from_bf16(S::load(p)); }
  INITRT_INLINE typename S::F load_tail(const Stored* p, std::size_t n) {
    return S::from_bf16(S::load_tail(p, n));
  }
  INITRT_INLINE typename S::H narrow(typename S::F v) { return S::to_bf16(v); }
  INITRT_INLINE typename S::F rounded(typename S::F v) { return S::rounded_to_bf16(v); }
};

template <class S>
struct AsF16 {
  using Stored = std::uint16_t;
  INITRT_INLINE typename S::F load(const Stored* p) { return S::from_f16(S::load(p)); }
  INITRT_INLINE typename S::F load_tail(const Stored* p, std::size_t n) {
    return S::from_f16(S::load_tail(p, n));
  }
  INITRT_INLINE typename S::H narrow(typename S::F v) { return S::to_f16(v); }
  INITRT_INLINE typename S::F rounded(typename S::F v) { return S::from_f16(S::to_f16(v)); }
};

/// A dot product's step where weights are widened to float32 and meet float32 inputs.
template <class S, class Element>
struct WidenedDot {
  using Weight = typename Element::Stored;
  using Input = float;
  using Weights = typename S::F;
  using Inputs = typename S::F;
  static constexpr std::size_t step = S::lanes;
  INITRT_INLINE Weights weights(const Weight* p) { return Element::load(p); }
  INITRT_INLINE Weights weights_tail(const Weight* p, std::size_t n) {
    return Element::load_tail(p, n);
  }
  INITRT_INLINE Inputs inputs(const Input* p) { return S::load(p); }
  INITRT_INLINE Inputs inputs_tail(const Input* p, std::size_t n) { return S::load_tail(p, n); }
  INITRT_INLINE typename S::F accumulate(typename S::F sum, Weights w, Inputs x) {
    return S::fma(w, x, sum);
  }
};

}  // namespace
}  // namespace initrt::cpu
