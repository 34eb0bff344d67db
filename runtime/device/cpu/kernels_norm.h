// Normalisation of one row. Sums are taken in float32 lanes, then over the lanes in the tree of
// reduce().
#pragma once

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/kernels_functions.h"

namespace initrt::cpu {
namespace {

/// The sum of term(x) over a row; what a tail's missing lanes are is set to 0 after term().
template <class S, class Term>
INITRT_INLINE float sum_of(const float* in, std::size_t columns, Term term) {
  using F = typename S::F;
  F sum{};
  std::size_t i = 0;
  for (; i + S::lanes <= columns; i += S::lanes) sum = term(S::load(in + i), sum);
  if (const std::size_t n = columns - i; n > 0) {
    const F x = term(S::load_tail(in + i, n), F{});
    float kept[S::lanes] = {};
    S::store_tail(kept, x, n);
    sum += S::load(kept);
  }
  return reduce<S>(sum);
}

/// out = (in - mean) * factor * (weight + weight_offset) + bias, for the columns of one block.
template <class S, class Element>
INITRT_INLINE void write_block(const NormRow& row, float mean, float factor, std::size_t begin,
                               std::size_t columns, std::size_t offset) {
  using F = typename S::F;
  using Stored = typename Element::Stored;
  const float* const in = row.in + begin;
  float* const out = row.out + begin;
  const auto* weight = reinterpret_cast<const Stored*>(row.weight + offset);
  const auto* bias =
      row.bias == nullptr ? nullptr : reinterpret_cast<const Stored*>(row.bias + offset);
  std::size_t i = 0;
  for (; i + S::lanes <= columns; i += S::lanes) {
    F y = (S::load(in + i) - mean) * factor * (Element::load(weight + i) + row.weight_offset);
    if (bias != nullptr) y += Element::load(bias + i);
    S::store(out + i, y);
  }
  if (const std::size_t n = columns - i; n > 0) {
    F y = (S::load_tail(in + i, n) - mean) * factor *
          (Element::load_tail(weight + i, n) + row.weight_offset);
    if (bias != nullptr) y += Element::load_tail(bias + i, n);
    S::store_tail(out + i, y, n);
  }
}

template <class S, class Element>
INITRT_INLINE void write_normed(const NormRow& row, float mean, float factor) {
  std::size_t block = row.first / row.block_columns, in_block = row.first % row.block_columns;
  for (std::size_t begin = 0; begin < row.columns;) {
    const std::size_t left = row.columns - begin, rest = row.block_columns - in_block;
    const std::size_t columns = left < rest ? left : rest;
    write_block<S, Element>(
        row, mean, factor, begin, columns,
        block++ * row.block_stride + in_block * sizeof(typename Element::Stored));
    in_block = 0;
    begin += columns;
  }
}

template <class S, class Element>
void rms_norm(const NormRow& row) {
  using F = typename S::F;
  const float squares = sum_of<S>(
      row.in, row.columns,
      [](F x, F sum) __attribute__((always_inline)) { return S::fma(x, x, sum); });
  const float mean = squares / static_cast<float>(row.columns);
  write_normed<S, Element>(row, 0.0f, 1.0f / __builtin_sqrtf(mean + row.epsilon));
}

/// The variance is that of the differences from the mean, in a second pass.
template <class S, class Element>
void layer_norm(const NormRow& row) {
  using F = typename S::F;
  const auto columns = static_cast<float>(row.columns);
  const float mean =
      sum_of<S>(
          row.in, row.columns, [](F x, F sum) __attribute__((always_inline)) { return sum + x; }) /
      columns;
  const float variance = sum_of<S>(
                             row.in, row.columns,
                             [mean](F x, F sum) __attribute__((always_inline)) {
                               return S::fma(x - mean, x - mean, sum);
                             }) /
                         columns;
  write_normed<S, Element>(row, mean, 1.0f / __builtin_sqrtf(variance + row.epsilon));
}

}  // namespace
}  // namespace initrt::cpu
