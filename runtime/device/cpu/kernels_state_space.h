// Mamba 2's state space, row by row like all that keeps a state.
#pragma once

#include "runtime/device/cpu/kernels_recurrent.h"

namespace initrt::cpu {
namespace {

template <class S>
void state_space_gates(const float* a_log, const float* dt_bias, float* step, float* decay,
                       std::size_t heads) {
  using F = typename S::F;
  std::size_t i = 0;
  for (; i + S::lanes <= heads; i += S::lanes) {
    const F taken = softplus<S>(S::load(step + i) + S::load(dt_bias + i));
    S::store(step + i, taken);
    S::store(decay + i, exp<S>(-(exp<S>(S::load(a_log + i)) * taken)));
  }
  if (const std::size_t n = heads - i; n > 0) {
    const F taken = softplus<S>(S::load_tail(step + i, n) + S::load_tail(dt_bias + i, n));
    S::store_tail(step + i, taken, n);
    S::store_tail(decay + i, exp<S>(-(exp<S>(S::load_tail(a_log + i, n)) * taken)), n);
  }
}

/// One row of a whole tile: what a value's sum is of goes by the state's order alone.
/// @param x, out a tile's width of them; they may be the same
template <class S>
INITRT_INLINE void state_space_row(const StateSpaceBlock& block, std::size_t row, float* state,
                                   std::size_t stride, const float* x, float* out) {
  using F = typename S::F;
  const float* const b = block.b + row * block.group_stride;
  const float* const c = block.c + row * block.group_stride;
  const float step = block.step[row * block.head_stride];
  const float decay = block.decay[row * block.head_stride];
  F in[delta_vectors], taken[delta_vectors], sum[delta_vectors] = {};
#pragma GCC unroll 4
  for (std::size_t v = 0; v < delta_vectors; ++v) {
    in[v] = S::load(x + v * S::lanes);
    taken[v] = in[v] * step;
  }
  for (std::size_t i = 0; i < block.state_size; ++i) {
    const F into = S::set1(b[i]), from = S::set1(c[i]);
    float* const at = state + i * stride;
#pragma GCC unroll 4
    for (std::size_t v = 0; v < delta_vectors; ++v) {
      const F s = S::fma(into, taken[v], S::load(at + v * S::lanes) * decay);
      S::store(at + v * S::lanes, s);
      sum[v] = S::fma(s, from, sum[v]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < delta_vectors; ++v) {
    S::store(out + v * S::lanes, S::fma(in[v], S::set1(block.skip), sum[v]));
  }
}

/// Values that fill a tile: the state is changed where it is, a decoding step's one pass over it.
template <class S>
void state_space_in_place(const StateSpaceBlock& block) {
  const std::size_t bytes = block.values * sizeof(float);
  for (std::size_t i = 0; i < block.state_size && block.fresh; ++i) {
    __builtin_memset(block.state + i * block.state_stride, 0, bytes);
  }
  for (std::size_t row = 0; row < block.rows; ++row) {
    const std::size_t at = row * block.value_stride;
    state_space_row<S>(block, row, block.state, block.state_stride, block.x + at, block.out + at);
  }
}

template <class S>
void state_space(const StateSpaceBlock& block) {
  constexpr std::size_t kWidth = DeltaTile<S>::width;
  if (block.values == kWidth) {
    state_space_in_place<S>(block);
    return;
  }
  const std::size_t bytes = block.values * sizeof(float);
  DeltaTile<S> tile;
  tile.load(block.state, block.state_stride, block.state_size, block.values, block.fresh);
  float values[kWidth] = {};
  for (std::size_t row = 0; row < block.rows; ++row) {
    __builtin_memcpy(values, block.x + row * block.value_stride, bytes);
    state_space_row<S>(block, row, tile.s[0], kWidth, values, values);
    __builtin_memcpy(block.out + row * block.value_stride, values, bytes);
  }
  tile.store(block.state, block.state_stride, block.state_size, block.values);
}

}  // namespace
}  // namespace initrt::cpu
