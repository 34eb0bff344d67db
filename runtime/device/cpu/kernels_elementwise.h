// Kernel templates that walk a row: conversions, normalisation, rotary, gate, exp.
#pragma once

#include "runtime/device/cpu/simd.h"

namespace initrt::cpu {
namespace {

/// e^x within 2 units in the last place: x = n ln 2 + r by Cody and Waite's two-part ln 2 (the
/// first part has ten bits, so that n times it is exact), the Taylor polynomial of degree 7 in
/// |r| <= 0.35 (its remainder is 5e-9), and 2^n as two factors so that it neither overflows before
/// the result does nor misses subnormal results.
template <class S>
INITRT_INLINE typename S::F exp(typename S::F x) {
  using F = typename S::F;
  using I = typename S::I;
  using U = typename S::U;
  const F lowest = S::set1(-104.0f), highest = S::set1(89.0f);  // 0 and infinity from here on
  x = S::select(x < lowest, lowest, x);                         // a NaN stays
  x = S::select(x > highest, highest, x);
  const F round = S::set1(0x1.8p23f);
  const F shifted = S::fma(x, S::set1(0x1.715476p+0f), round);  // log2(e)
  const F n = shifted - round;
  const I integer = (I)((U)shifted - (U)round);
  F r = S::fma(n, S::set1(-0.693359375f), x);
  r = S::fma(n, S::set1(2.12194440e-4f), r);
  F p = S::set1(1.0f / 5040);
  p = S::fma(p, r, S::set1(1.0f / 720));
  p = S::fma(p, r, S::set1(1.0f / 120));
  p = S::fma(p, r, S::set1(1.0f / 24));
  p = S::fma(p, r, S::set1(1.0f / 6));
  p = S::fma(p, r, S::set1(0.5f));
  p = S::fma(p * r, r, r) + 1.0f;
  const I half = integer >> 1;
  const F scale_1 = (F)(((U)half + 127u) << 23);
  const F scale_2 = (F)(((U)integer - (U)half + 127u) << 23);
  return p * scale_1 * scale_2;
}

/// The sum of one vector's lanes, in the tree that dot products use.
template <class S>
INITRT_INLINE float reduce(typename S::F v) {
  return S::reduce4(v, v, v, v)[0];
}

template <class S>
void exp_row(const float* in, float* out, std::size_t elements) {
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) S::store(out + i, exp<S>(S::load(in + i)));
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(out + i, exp<S>(S::load_tail(in + i, n)), n);
  }
}

template <class S, class Element>
void to_float(const std::byte* in, float* out, std::size_t elements) {
  const auto* from = reinterpret_cast<const typename Element::Stored*>(in);
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) S::store(out + i, Element::load(from + i));
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(out + i, Element::load_tail(from + i, n), n);
  }
}

template <class S, class Element>
void from_float(const float* in, std::byte* out, std::size_t elements) {
  auto* to = reinterpret_cast<typename Element::Stored*>(out);
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) {
    S::store(to + i, Element::narrow(S::load(in + i)));
  }
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(to + i, Element::narrow(S::load_tail(in + i, n)), n);
  }
}

/// Rounds to a 16-bit type and back: the inputs of a dot product over widened weights.
template <class S, class Element>
void round_to_float(const float* in, void* out, std::size_t elements) {
  auto* to = static_cast<float*>(out);
  const auto rounded = [](typename S::F v) __attribute__((always_inline)) {
    typename S::H narrow = Element::narrow(v);
    typename Element::Stored stored[S::lanes];
    __builtin_memcpy(stored, &narrow, sizeof narrow);
    return Element::load(stored);
  };
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) S::store(to + i, rounded(S::load(in + i)));
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(to + i, rounded(S::load_tail(in + i, n)), n);
  }
}

/// The sum of squares is taken in float32 lanes, then over the lanes in the tree of reduce().
template <class S, class Element>
void rms_norm(const float* in, const std::byte* weight, float epsilon, float* out,
              std::size_t columns) {
  using F = typename S::F;
  const auto* scales = reinterpret_cast<const typename Element::Stored*>(weight);
  F squares{};
  std::size_t i = 0;
  for (; i + S::lanes <= columns; i += S::lanes) {
    const F x = S::load(in + i);
    squares = S::fma(x, x, squares);
  }
  const std::size_t tail = columns - i;
  if (tail > 0) {
    const F x = S::load_tail(in + i, tail);
    squares = S::fma(x, x, squares);
  }
  const float mean = reduce<S>(squares) / static_cast<float>(columns);
  const float factor = 1.0f / __builtin_sqrtf(mean + epsilon);
  for (i = 0; i + S::lanes <= columns; i += S::lanes) {
    S::store(out + i, S::load(in + i) * factor * Element::load(scales + i));
  }
  if (tail > 0) {
    const F x = S::load_tail(in + i, tail) * factor * Element::load_tail(scales + i, tail);
    S::store_tail(out + i, x, tail);
  }
}

template <class S>
void rotary(float* x, std::size_t half, const float* cosines, const float* sines) {
  using F = typename S::F;
  std::size_t i = 0;
  for (; i + S::lanes <= half; i += S::lanes) {
    const F c = S::load(cosines + i), s = S::load(sines + i);
    const F low = S::load(x + i), high = S::load(x + half + i);
    S::store(x + i, low * c - high * s);
    S::store(x + half + i, high * c + low * s);
  }
  if (const std::size_t n = half - i; n > 0) {
    const F c = S::load_tail(cosines + i, n), s = S::load_tail(sines + i, n);
    const F low = S::load_tail(x + i, n), high = S::load_tail(x + half + i, n);
    S::store_tail(x + i, low * c - high * s, n);
    S::store_tail(x + half + i, high * c + low * s, n);
  }
}

template <class S>
void silu_gate(const float* gate, const float* up, float* out, std::size_t elements) {
  using F = typename S::F;
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) {
    const F g = S::load(gate + i);
    S::store(out + i, g / (exp<S>(-g) + 1.0f) * S::load(up + i));
  }
  if (const std::size_t n = elements - i; n > 0) {
    const F g = S::load_tail(gate + i, n);
    S::store_tail(out + i, g / (exp<S>(-g) + 1.0f) * S::load_tail(up + i, n), n);
  }
}

template <class S>
void add(const float* x, float* into, std::size_t elements) {
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) {
    S::store(into + i, S::load(into + i) + S::load(x + i));
  }
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(into + i, S::load_tail(into + i, n) + S::load_tail(x + i, n), n);
  }
}

}  // namespace
}  // namespace initrt::cpu
