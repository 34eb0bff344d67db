// Functions of one vector: e^x, and what is made of it.
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

/// cap * tanh(x / cap), by tanh(y) = 1 - 2 / (e^2y + 1): within cap times 2^-23 of it.
template <class S>
INITRT_INLINE typename S::F capped(typename S::F x, float cap) {
  return cap - 2.0f * cap / (exp<S>(x * (2.0f / cap)) + 1.0f);
}

template <class S>
struct Silu {
  INITRT_INLINE typename S::F of(typename S::F x) { return x / (exp<S>(-x) + 1.0f); }
};

/// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3) is x / (1 + e^-2u).
template <class S>
struct GeluTanh {
  INITRT_INLINE typename S::F of(typename S::F x) {
    const typename S::F u = S::fma(x * x * x, S::set1(0.044715f), x);
    return x / (exp<S>(u * -1.59576912f) + 1.0f);
  }
};

template <class S>
struct QuickGelu {
  INITRT_INLINE typename S::F of(typename S::F x) { return x / (exp<S>(x * -1.702f) + 1.0f); }
};

template <class S>
struct Sigmoid {
  INITRT_INLINE typename S::F of(typename S::F x) { return 1.0f / (exp<S>(-x) + 1.0f); }
};

template <class S>
struct Relu2 {
  INITRT_INLINE typename S::F of(typename S::F x) {
    x = S::select(x < 0.0f, typename S::F{}, x);  // a NaN stays
    return x * x;
  }
};

/// log(1 + e^x) within 4 units in the last place: what of it is not x or 0 is log(1 + t) with t =
/// e^-|x|, which is twice the area hyperbolic tangent of s = t / (t + 2), at most 1/3; its series
/// up to s^15 leaves 1e-9.
template <class S>
INITRT_INLINE typename S::F softplus(typename S::F x) {
  using F = typename S::F;
  const F t = exp<S>(S::select(x < 0.0f, x, -x));
  const F s = t / (t + 2.0f), square = s * s;
  F p = S::set1(1.0f / 15);
  p = S::fma(p, square, S::set1(1.0f / 13));
  p = S::fma(p, square, S::set1(1.0f / 11));
  p = S::fma(p, square, S::set1(1.0f / 9));
  p = S::fma(p, square, S::set1(1.0f / 7));
  p = S::fma(p, square, S::set1(1.0f / 5));
  p = S::fma(p, square, S::set1(1.0f / 3));
  p = S::fma(p, square, S::set1(1.0f));
  return S::select(x < 0.0f, F{}, x) + 2.0f * s * p;
}

/// x times the normal distribution function, within 3e-7. Its tail is erfc(z) / 2 at
/// z = |x| / sqrt(2), and erfc(z) is e^-z^2 times a polynomial in t = 2.5 / (2.5 + z): that of
/// degree 8 through the Chebyshev nodes of 0 <= z <= 6.5, which is 5e-9 away from it.
template <class S>
struct Gelu {
  INITRT_INLINE typename S::F of(typename S::F x) {
    using F = typename S::F;
    const F z = S::select(x < 0.0f, -x, x) * 0.707106781f;
    const F t = 2.5f / (z + 2.5f);
    F p = S::set1(0.08668705893f);
    p = S::fma(p, t, S::set1(-0.4589903112f));
    p = S::fma(p, t, S::set1(0.8281225593f));
    p = S::fma(p, t, S::set1(-0.5533216953f));
    p = S::fma(p, t, S::set1(0.5454824057f));
    p = S::fma(p, t, S::set1(0.07462487793f));
    p = S::fma(p, t, S::set1(0.2552657938f));
    p = S::fma(p, t, S::set1(0.2219220662f));
    p = S::fma(p, t, S::set1(2.072497035e-4f));
    const F tail = p * exp<S>(-(z * z)) * 0.5f;
    return S::select(x < 0.0f, x * tail, x - x * tail);
  }
};

}  // namespace
}  // namespace initrt::cpu
