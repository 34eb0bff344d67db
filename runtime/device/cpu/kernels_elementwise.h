// Kernel templates that walk a row: conversions, rotary, gates, sums.
#pragma once

#include "runtime/device/cpu/kernels_functions.h"

namespace initrt::cpu {
namespace {

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
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) {
    S::store(to + i, Element::rounded(S::load(in + i)));
  }
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(to + i, Element::rounded(S::load_tail(in + i, n)), n);
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

/// x[i] = map(x[i]).
template <class S, class Map>
INITRT_INLINE void map_in_place(float* x, std::size_t elements, Map map) {
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) S::store(x + i, map(S::load(x + i)));
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(x + i, map(S::load_tail(x + i, n)), n);
  }
}

template <class S, class Function>
void gate_row(const float* gate, const float* up, float* out, std::size_t elements) {
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) {
    const typename S::F y = Function::of(S::load(gate + i));
    S::store(out + i, up == nullptr ? y : y * S::load(up + i));
  }
  if (const std::size_t n = elements - i; n > 0) {
    const typename S::F y = Function::of(S::load_tail(gate + i, n));
    S::store_tail(out + i, up == nullptr ? y : y * S::load_tail(up + i, n), n);
  }
}

/// out = in, no less than `lowest` nor more than `highest`, plus `offset`; a NaN stays.
template <class S>
void limit_row(const float* in, float lowest, float highest, float offset, float* out,
               std::size_t elements) {
  using F = typename S::F;
  const auto limited = [&](F x) {
    x = S::select(x < lowest, S::set1(lowest), x);
    return S::select(x > highest, S::set1(highest), x) + offset;
  };
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) S::store(out + i, limited(S::load(in + i)));
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(out + i, limited(S::load_tail(in + i, n)), n);
  }
}

template <class S>
void add(const float* x, float factor, float* into, std::size_t elements) {
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) {
    S::store(into + i, S::load(into + i) + S::load(x + i) * factor);
  }
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(into + i, S::load_tail(into + i, n) + S::load_tail(x + i, n) * factor, n);
  }
}

template <class S, class Element>
void accumulate(const std::byte* x, float* into, std::size_t elements) {
  const auto* from = reinterpret_cast<const typename Element::Stored*>(x);
  std::size_t i = 0;
  for (; i + S::lanes <= elements; i += S::lanes) {
    S::store(into + i, S::load(into + i) + Element::load(from + i));
  }
  if (const std::size_t n = elements - i; n > 0) {
    S::store_tail(into + i, S::load_tail(into + i, n) + Element::load_tail(from + i, n), n);
  }
}

template <class S>
void scale(float* x, float factor, std::size_t elements) {
  map_in_place<S>(
      x, elements, [factor](typename S::F v) __attribute__((always_inline)) { return v * factor; });
}

template <class S>
void softcap(float* x, float cap, std::size_t elements) {
  map_in_place<S>(
      x, elements, [cap](typename S::F v) __attribute__((always_inline)) {
        return capped<S>(v, cap);
      });
}

}  // namespace
}  // namespace initrt::cpu
