// Attention of a few queries that share keys: online softmax over tiles of attention_tile keys
// anchored at position 0, so that a query's result depends on its own position alone, and memory
// does not grow with the context.
#pragma once

#include "runtime/device/cpu/kernels_elementwise.h"
#include "runtime/device/cpu/kernels_linear.h"

namespace initrt::cpu {
namespace {

/// The online softmax of all queries of a block: `sums` of probabilities relative to `maxima`, and
/// values weighted by the same probabilities.
struct AttentionState {
  alignas(cache_line) float q[attention_queries * attention_head_size];       ///< times the scale
  alignas(cache_line) float values[attention_queries * attention_head_size];  ///< weighted sums
  alignas(cache_line) float scores[attention_queries][attention_tile];
  float maxima[attention_queries];
  float sums[attention_queries];
};

/// Turns `keys` scores into probabilities relative to the new maximum and returns the factor by
/// which what was summed before must shrink.
template <class S>
INITRT_INLINE float softmax_tile(float* scores, std::size_t keys, float& maximum, float& sum) {
  using F = typename S::F;
  static_assert(attention_tile % S::lanes == 0);
  constexpr float infinity = __builtin_inff();
  const std::size_t padded = (keys + S::lanes - 1) / S::lanes * S::lanes;
  for (std::size_t i = keys; i < padded; ++i) scores[i] = -infinity;
  F largest = S::load(scores);
  for (std::size_t i = S::lanes; i < padded; i += S::lanes) {
    const F v = S::load(scores + i);
    largest = S::select(v > largest, v, largest);
  }
  float next = maximum;
  for (std::size_t i = 0; i < S::lanes; ++i) next = largest[i] > next ? largest[i] : next;
  F total{};
  for (std::size_t i = 0; i < padded; i += S::lanes) {
    const F p = exp<S>(S::load(scores + i) - next);
    S::store(scores + i, p);
    total += p;
  }
  const float shrink = exp<S>(S::set1(maximum - next))[0];
  sum = sum * shrink + reduce<S>(total);
  maximum = next;
  return shrink;
}

/// values[q] = values[q] * shrink[q] + sum over keys of scores[q][key] * v[key], for `queries`
/// neighbouring queries and `vectors` vectors of the head.
template <class S, class Element, std::size_t queries, std::size_t vectors, bool tail>
INITRT_INLINE void weigh(const typename Element::Stored* v, std::size_t stride, std::size_t size,
                         std::size_t keys, const float (*scores)[attention_tile],
                         const float* shrink, float* values, std::size_t tail_elements) {
  using F = typename S::F;
  F sums[queries][vectors];
#pragma GCC unroll 8
  for (std::size_t q = 0; q < queries; ++q) {
#pragma GCC unroll 8
    for (std::size_t d = 0; d < vectors; ++d) {
      float* at = values + q * size + d * S::lanes;
      sums[q][d] = (tail ? S::load_tail(at, tail_elements) : S::load(at)) * shrink[q];
    }
  }
  for (std::size_t key = 0; key < keys; ++key) {
    F x[vectors];
#pragma GCC unroll 8
    for (std::size_t d = 0; d < vectors; ++d) {
      const auto* at = v + key * stride + d * S::lanes;
      x[d] = tail ? Element::load_tail(at, tail_elements) : Element::load(at);
    }
#pragma GCC unroll 8
    for (std::size_t q = 0; q < queries; ++q) {
      const F p = S::set1(scores[q][key]);
#pragma GCC unroll 8
      for (std::size_t d = 0; d < vectors; ++d) sums[q][d] = S::fma(p, x[d], sums[q][d]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t q = 0; q < queries; ++q) {
#pragma GCC unroll 8
    for (std::size_t d = 0; d < vectors; ++d) {
      float* at = values + q * size + d * S::lanes;
      if constexpr (tail) {
        S::store_tail(at, sums[q][d], tail_elements);
      } else {
        S::store(at, sums[q][d]);
      }
    }
  }
}

template <class S, class Element, std::size_t queries>
void weigh_head(const typename Element::Stored* v, std::size_t stride, std::size_t size,
                std::size_t keys, const float (*scores)[attention_tile], const float* shrink,
                float* values) {
  constexpr std::size_t wide = S::value_vectors * S::lanes;
  std::size_t d = 0;
  for (; d + wide <= size; d += wide) {
    weigh<S, Element, queries, S::value_vectors, false>(v + d, stride, size, keys, scores, shrink,
                                                        values + d, 0);
  }
  for (; d + S::lanes <= size; d += S::lanes) {
    weigh<S, Element, queries, 1, false>(v + d, stride, size, keys, scores, shrink, values + d, 0);
  }
  if (d < size) {
    weigh<S, Element, queries, 1, true>(v + d, stride, size, keys, scores, shrink, values + d,
                                        size - d);
  }
}

/// The scores of all queries for keys [begin, begin + keys).
template <class S, class Element>
void score_tile(const typename Element::Stored* k, std::size_t head_size, std::size_t keys,
                std::size_t queries, AttentionState& state) {
  using Dot = WidenedDot<S, Element>;
  for (std::size_t key = 0; key < keys; key += tile_outputs) {
    const std::size_t left = keys - key;
    const std::size_t outputs = left < tile_outputs ? left : tile_outputs;
    const typename Element::Stored* rows_of_tile[tile_outputs];
    for (std::size_t i = 0; i < tile_outputs; ++i) {
      rows_of_tile[i] = k + (key + (i < outputs ? i : outputs - 1)) * head_size;
    }
    for (std::size_t q = 0; q < queries; q += S::tile_rows) {
      const std::size_t rows = queries - q < S::tile_rows ? queries - q : S::tile_rows;
      tile_of<S, Dot, false>(rows, rows_of_tile, state.q + q * head_size, head_size, head_size,
                             &state.scores[q][key], attention_tile, outputs,
                             {reinterpret_cast<std::uintptr_t>(k), 0});
    }
  }
}

/// The first position that a row sees.
INITRT_INLINE std::size_t first_key(const AttentionBlock& block, std::size_t row) {
  const std::size_t position = block.positions[row];
  if (block.window == 0 || position < block.window) return 0;
  return block.chunks ? position - position % block.window : position + 1 - block.window;
}

/// Adds ALiBi's biases to a query's scores of keys [begin, begin + attention_tile).
/// @param position the query's
template <class S>
INITRT_INLINE void add_biases(const AttentionBlock& block, float rate, std::size_t position,
                              std::size_t begin, float* scores) {
  using F = typename S::F;
  const auto rounded = [rate](F x) __attribute__((always_inline)) {
    return S::rounded_to_bf16(S::rounded_to_bf16(x) * rate);
  };
  const F last = S::set1(static_cast<float>(position));
  for (std::size_t i = 0; i < attention_tile; i += S::lanes) {
    F keys;
    for (std::size_t lane = 0; lane < S::lanes; ++lane) {
      keys[lane] = static_cast<float>(begin + i + lane);
    }
    const F bias = block.rounded_biases ? rounded(keys) - rounded(last) : (keys - last) * rate;
    S::store(scores + i, S::load(scores + i) + bias * block.bias_scale);
  }
}

template <class S, class Element>
void attention(const AttentionBlock& block) {
  const std::size_t head_size = block.head_size, value_size = block.value_size;
  const std::size_t queries = block.rows * block.heads;
  const auto* k = reinterpret_cast<const typename Element::Stored*>(block.k);
  const auto* v = reinterpret_cast<const typename Element::Stored*>(block.v);
  AttentionState state;
  std::size_t all_keys = 0, first_tile = static_cast<std::size_t>(-1);
  for (std::size_t r = 0; r < block.rows; ++r) {
    const float* q = block.q + r * block.row_stride;
    float* scaled = state.q + r * block.heads * head_size;
    for (std::size_t i = 0; i < block.heads * head_size; ++i) scaled[i] = q[i] * block.scale;
    const std::size_t keys = std::size_t{block.positions[r]} + 1;
    all_keys = keys > all_keys ? keys : all_keys;
    const std::size_t first = first_key(block, r) / attention_tile * attention_tile;
    first_tile = first < first_tile ? first : first_tile;
  }
  for (std::size_t i = 0; i < queries * value_size; ++i) state.values[i] = 0;
  for (std::size_t q = 0; q < queries; ++q) {
    const bool sinks = block.sinks != nullptr;
    state.maxima[q] = sinks ? block.sinks[q % block.heads] : -__builtin_inff();
    state.sums[q] = sinks ? 1.0f : 0.0f;
  }

  for (std::size_t begin = first_tile; begin < all_keys; begin += attention_tile) {
    const std::size_t left = all_keys - begin;
    const std::size_t place = begin % block.cached;
    score_tile<S, Element>(k + place * head_size, head_size,
                           left < attention_tile ? left : attention_tile, queries, state);
    // A query never touches keys after its own position, not even with weight 0: they may be
    // anything, and what it gets must not depend on the block's other rows.
    std::size_t keys_of[attention_queries];
    float shrink[attention_queries];
    for (std::size_t q = 0; q < queries; ++q) {
      const std::size_t keys = std::size_t{block.positions[q / block.heads]} + 1;
      const std::size_t first = first_key(block, q / block.heads);
      const bool sees = keys > begin && first < begin + attention_tile;
      const std::size_t own = sees ? keys - begin : 0;
      keys_of[q] = own < attention_tile ? own : attention_tile;
      if (!sees) continue;
      if (block.softcap != 0) softcap<S>(state.scores[q], block.softcap, keys_of[q]);
      if (block.rates != nullptr) {
        add_biases<S>(block, block.rates[q % block.heads], block.positions[q / block.heads], begin,
                      state.scores[q]);
      }
      for (std::size_t i = begin; i < first; ++i) state.scores[q][i - begin] = -__builtin_inff();
      shrink[q] = softmax_tile<S>(state.scores[q], keys_of[q], state.maxima[q], state.sums[q]);
    }
    const auto* values_tile = v + place * block.value_stride;
    for (std::size_t q = 0, together; q < queries; q += together) {
      together = 1;
      while (together < 4 && q + together < queries && keys_of[q + together] == keys_of[q]) {
        ++together;
      }
      if (keys_of[q] == 0) continue;
      const auto weigh_some = together == 4   ? weigh_head<S, Element, 4>
                              : together == 3 ? weigh_head<S, Element, 3>
                              : together == 2 ? weigh_head<S, Element, 2>
                                              : weigh_head<S, Element, 1>;
      weigh_some(values_tile, block.value_stride, value_size, keys_of[q], &state.scores[q],
                 shrink + q, state.values + q * value_size);
    }
  }

  for (std::size_t r = 0; r < block.rows; ++r) {
    float* out = block.out + r * block.out_stride;
    for (std::size_t h = 0; h < block.heads; ++h) {
      const std::size_t q = r * block.heads + h;
      for (std::size_t i = 0; i < value_size; ++i) {
        out[h * value_size + i] = state.values[q * value_size + i] / state.sums[q];
      }
    }
  }
}

}  // namespace
}  // namespace initrt::cpu
