// What reads a sequence row by row: short convolutions and the gated delta rule. Rows are taken one
// after the other, whatever the chunk, so that it does not change a bit.
#pragma once

#include "runtime/device/cpu/kernels_elementwise.h"
#include "runtime/device/cpu/kernels_norm.h"

namespace initrt::cpu {
namespace {

/// out = SiLU(bias + sum over taps of taps[j] * in[j]), the oldest input first.
template <class S, class Element>
INITRT_INLINE void convolve_row(const ConvolutionBlock& block, const float* const* in, float* out) {
  using F = typename S::F;
  using Stored = typename Element::Stored;
  const auto tap = [&](std::size_t j) __attribute__((always_inline)) {
    return reinterpret_cast<const Stored*>(block.taps[j]);
  };
  std::size_t i = 0;
  for (; i + S::lanes <= block.columns; i += S::lanes) {
    F sum{};
    if (block.bias != nullptr) sum = S::load(block.bias + i);
    for (std::size_t j = 0; j < block.count; ++j) {
      sum = S::fma(Element::load(tap(j) + i), S::load(in[j] + i), sum);
    }
    S::store(out + i, Silu<S>::of(sum));
  }
  if (const std::size_t n = block.columns - i; n > 0) {
    F sum{};
    if (block.bias != nullptr) sum = S::load_tail(block.bias + i, n);
    for (std::size_t j = 0; j < block.count; ++j) {
      sum = S::fma(Element::load_tail(tap(j) + i, n), S::load_tail(in[j] + i, n), sum);
    }
    S::store_tail(out + i, Silu<S>::of(sum), n);
  }
}

template <class S, class Element>
void convolve(const ConvolutionBlock& block) {
  const std::size_t before = block.count - 1, bytes = block.columns * sizeof(float);
  float history[convolution_taps][convolution_columns];
  for (std::size_t j = 0; j < before; ++j) {
    if (block.fresh) {
      __builtin_memset(history[j], 0, bytes);
    } else {
      __builtin_memcpy(history[j], block.state + j * block.stride, bytes);
    }
  }
  // Input `i` of the state's and the rows' together.
  const auto input = [&](std::size_t i) -> const float* {
    return i < before ? history[i] : block.x + (i - before) * block.stride;
  };
  for (std::size_t j = 0; j < before; ++j) {
    __builtin_memcpy(block.state + j * block.stride, input(block.rows + j), bytes);
  }
  for (std::size_t row = block.rows;
       row-- > 0;) {  // the last first: others still need their inputs
    const float* in[convolution_taps];
    for (std::size_t j = 0; j < block.count; ++j) in[j] = input(row + j);
    convolve_row<S, Element>(block, in, block.x + row * block.stride);
  }
}

template <class S>
void normalize(float* x, float factor, std::size_t elements) {
  using F = typename S::F;
  const float squares = sum_of<S>(
      x, elements, [](F v, F sum) __attribute__((always_inline)) { return S::fma(v, v, sum); });
  scale<S>(x, factor / __builtin_sqrtf(squares + 1e-6f), elements);
}

template <class S>
void delta_gates(const float* a_log, const float* dt_bias, float* decay, float* beta,
                 std::size_t heads) {
  using F = typename S::F;
  const auto decayed = [](F a, F x) __attribute__((always_inline)) {
    return exp<S>(-(exp<S>(a) * softplus<S>(x)));
  };
  std::size_t i = 0;
  for (; i + S::lanes <= heads; i += S::lanes) {
    S::store(decay + i, decayed(S::load(a_log + i), S::load(decay + i) + S::load(dt_bias + i)));
    S::store(beta + i, Sigmoid<S>::of(S::load(beta + i)));
  }
  if (const std::size_t n = heads - i; n > 0) {
    S::store_tail(decay + i,
                  decayed(S::load_tail(a_log + i, n),
                          S::load_tail(decay + i, n) + S::load_tail(dt_bias + i, n)),
                  n);
    S::store_tail(beta + i, Sigmoid<S>::of(S::load_tail(beta + i, n)), n);
  }
}

inline constexpr std::size_t delta_vectors = 4;

/// Some columns of a head's state, zeros behind them.
template <class S>
struct DeltaTile {
  static constexpr std::size_t width = delta_vectors * S::lanes;
  alignas(64) float s[delta_key_size][width];

  /// @param fresh what is stored is another sequence's
  void load(const float* stored, std::size_t stride, std::size_t rows, std::size_t columns,
            bool fresh) {
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < width; ++j) s[i][j] = 0;
      if (!fresh) __builtin_memcpy(s[i], stored + i * stride, columns * sizeof(float));
    }
  }
  void store(float* into, std::size_t stride, std::size_t rows, std::size_t columns) const {
    for (std::size_t i = 0; i < rows; ++i) {
      __builtin_memcpy(into + i * stride, s[i], columns * sizeof(float));
    }
  }
};

/// One row: what a value's sums are of goes by the keys' order alone.
template <class S>
INITRT_INLINE void delta_row(DeltaTile<S>& tile, const float* q, const float* k, float decay,
                             float beta, std::size_t key_size, float* values) {
  using F = typename S::F;
  F recalled[delta_vectors] = {}, change[delta_vectors], out[delta_vectors] = {};
  for (std::size_t i = 0; i < key_size; ++i) {
    const F key = S::set1(k[i]);
#pragma GCC unroll 4
    for (std::size_t d = 0; d < delta_vectors; ++d) {
      const F s = S::load(tile.s[i] + d * S::lanes) * decay;
      S::store(tile.s[i] + d * S::lanes, s);
      recalled[d] = S::fma(s, key, recalled[d]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t d = 0; d < delta_vectors; ++d) {
    change[d] = (S::load(values + d * S::lanes) - recalled[d]) * beta;
  }
  for (std::size_t i = 0; i < key_size; ++i) {
    const F key = S::set1(k[i]), query = S::set1(q[i]);
#pragma GCC unroll 4
    for (std::size_t d = 0; d < delta_vectors; ++d) {
      const F s = S::fma(key, change[d], S::load(tile.s[i] + d * S::lanes));
      S::store(tile.s[i] + d * S::lanes, s);
      out[d] = S::fma(s, query, out[d]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t d = 0; d < delta_vectors; ++d) S::store(values + d * S::lanes, out[d]);
}

template <class S>
void delta(const DeltaBlock& block) {
  DeltaTile<S> tile;
  tile.load(block.state, block.state_stride, block.key_size, block.values, block.fresh);
  float values[DeltaTile<S>::width] = {};
  for (std::size_t row = 0; row < block.rows; ++row) {
    const std::size_t bytes = block.values * sizeof(float), head = row * block.head_stride;
    __builtin_memcpy(values, block.v + row * block.value_stride, bytes);
    delta_row<S>(tile, block.q + row * block.key_stride, block.k + row * block.key_stride,
                 block.decay[head], block.beta[head], block.key_size, values);
    __builtin_memcpy(block.out + row * block.value_stride, values, bytes);
  }
  tile.store(block.state, block.state_stride, block.key_size, block.values);
}

}  // namespace
}  // namespace initrt::cpu
