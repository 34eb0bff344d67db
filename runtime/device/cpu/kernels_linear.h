// The dot-product tile under linear and under the scores of attention: vector lanes along K, one
// float32 accumulator vector per output element, `tile_outputs` weight rows by up to
// S::tile_rows input rows in registers. An element's sum never depends on the tile's shape.
#pragma once

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/simd.h"

namespace initrt::cpu {
namespace {

constexpr std::size_t tile_outputs = 4;  ///< S::reduce4 ends the sums of four weight rows at once
constexpr std::size_t cache_line = 64;   ///< bytes

/// Weights to bring into the cache while a tile computes. Prefetches may run past the matrix:
/// they never fault.
struct Prefetch {
  std::uintptr_t at = 0;
  std::size_t bytes_per_step = 0;
};

template <class S, class Dot, std::size_t rows, bool streaming>
INITRT_INLINE void tile(const typename Dot::Weight* const (&weight)[tile_outputs],
                        const typename Dot::Input* in, std::size_t in_stride, std::size_t columns,
                        float* out, std::size_t out_stride, std::size_t outputs,
                        Prefetch prefetch) {
  using F = typename S::F;
  F sums[tile_outputs][rows] = {};
  std::size_t k = 0;
  for (; k + Dot::step <= columns; k += Dot::step) {
    typename Dot::Inputs x[rows];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) x[t] = Dot::inputs(in + t * in_stride + k);
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) {
      const typename Dot::Weights w = Dot::weights(weight[o] + k);
      if constexpr (streaming) {
        // The next tile lies tile_outputs rows further on: same place, same distance.
        const auto next = reinterpret_cast<std::uintptr_t>(weight[o] + k) + prefetch.bytes_per_step;
        __builtin_prefetch(reinterpret_cast<const void*>(next), 0, 2);
      }
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) sums[o][t] = Dot::accumulate(sums[o][t], w, x[t]);
    }
    if constexpr (!streaming) {
      __builtin_prefetch(reinterpret_cast<const void*>(prefetch.at), 0, 2);
      prefetch.at += prefetch.bytes_per_step;
    }
  }
  if (const std::size_t n = columns - k; n > 0) {
    typename Dot::Inputs x[rows];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) x[t] = Dot::inputs_tail(in + t * in_stride + k, n);
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) {
      const typename Dot::Weights w = Dot::weights_tail(weight[o] + k, n);
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) sums[o][t] = Dot::accumulate(sums[o][t], w, x[t]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t t = 0; t < rows; ++t) {
    const F4 result = S::reduce4(sums[0][t], sums[1][t], sums[2][t], sums[3][t]);
    if (outputs == tile_outputs) {
      __builtin_memcpy(out + t * out_stride, &result, sizeof result);
    } else {
      for (std::size_t o = 0; o < outputs; ++o) out[t * out_stride + o] = result[o];
    }
  }
}

/// tile() for a number of rows known at run time, 1 <= rows <= most.
template <class S, class Dot, bool streaming, std::size_t most = S::tile_rows>
INITRT_INLINE void tile_of(std::size_t rows,
                           const typename Dot::Weight* const (&weight)[tile_outputs],
                           const typename Dot::Input* in, std::size_t in_stride,
                           std::size_t columns, float* out, std::size_t out_stride,
                           std::size_t outputs, Prefetch prefetch) {
  if constexpr (most > 1) {
    if (rows < most) {
      return tile_of<S, Dot, streaming, most - 1>(rows, weight, in, in_stride, columns, out,
                                                  out_stride, outputs, prefetch);
    }
  }
  tile<S, Dot, most, streaming>(weight, in, in_stride, columns, out, out_stride, outputs, prefetch);
}

template <class S, class Dot>
void linear(const LinearBlock& block) {
  const auto* in = static_cast<const typename Dot::Input*>(block.in);
  const auto* weight = static_cast<const typename Dot::Weight*>(block.weight);
  const std::size_t in_stride = block.in_stride_bytes / sizeof *in;
  const std::size_t columns = block.in_columns;
  const std::size_t tile_bytes = tile_outputs * columns * sizeof *weight;
  const std::size_t row_tiles = (block.rows + S::tile_rows - 1) / S::tile_rows;
  const std::size_t steps = row_tiles * (columns / Dot::step);
  for (std::size_t o = 0; o < block.out_columns; o += tile_outputs) {
    const std::size_t left = block.out_columns - o;
    const std::size_t outputs = left < tile_outputs ? left : tile_outputs;
    const typename Dot::Weight* rows_of_tile[tile_outputs];
    for (std::size_t i = 0; i < tile_outputs; ++i) {  // past the last row, the last row again
      rows_of_tile[i] = weight + (o + (i < outputs ? i : outputs - 1)) * columns;
    }
    if (row_tiles == 1) {
      tile_of<S, Dot, true>(block.rows, rows_of_tile, in, in_stride, columns, block.out + o,
                            block.out_stride, outputs, {0, tile_bytes});
      continue;
    }
    // The next tile of weights arrives evenly spread over this one's work.
    const std::size_t per_step = steps > 0 ? tile_bytes / steps + 1 : 0;
    const auto next = reinterpret_cast<std::uintptr_t>(rows_of_tile[0]) + tile_bytes;
    std::size_t done_steps = 0;
    for (std::size_t t = 0; t < block.rows; t += S::tile_rows) {
      const std::size_t rows = block.rows - t < S::tile_rows ? block.rows - t : S::tile_rows;
      tile_of<S, Dot, false>(rows, rows_of_tile, in + t * in_stride, in_stride, columns,
                             block.out + t * block.out_stride + o, block.out_stride, outputs,
                             {next + done_steps * per_step, per_step});
      done_steps += columns / Dot::step;
    }
  }
}

}  // namespace
}  // namespace initrt::cpu
