// The dot-product tile under linear and under the scores of attention: vector lanes along K, one
// float32 accumulator vector per output element, `tile_outputs` weight rows by up to
// S::tile_rows input rows in registers. An element's sum never depends on the tile's shape.
#pragma once

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/simd.h"

namespace initrt::cpu {
namespace {

constexpr std::size_t tile_outputs = 4;  ///< S::reduce4 ends the sums of four weight rows at once
constexpr std::size_t tall_tile_outputs = 3;       ///< of a tile of up to S::tall_tile_rows
constexpr std::size_t tall_tile_bytes = 36 << 10;  ///< of such a tile's inputs at most
constexpr std::size_t cache_line = 64;

/// Weights to bring into the cache while a tile computes. Prefetches may run past the matrix:
/// they never fault.
struct Prefetch {
  std::uintptr_t at = 0;
  std::size_t bytes_per_step = 0;  ///< not looked at where weights stream
};

template <class S, class Dot, std::size_t rows, bool streaming, std::size_t width = tile_outputs>
INITRT_INLINE void tile(const typename Dot::Weight* const (&weight)[width],
                        const typename Dot::Input* in, std::size_t in_stride, std::size_t columns,
                        float* out, std::size_t out_stride, std::size_t outputs,
                        Prefetch prefetch) {
  using F = typename S::F;
  constexpr std::size_t step_bytes = Dot::step * sizeof(typename Dot::Weight);
  F sums[width][rows] = {};
  std::size_t k = 0;
  for (; k + Dot::step <= columns; k += Dot::step) {
    if constexpr (streaming) {
      // In the order of memory, not of use: streams of short rows come a fifth slower.
#pragma GCC unroll 8
      for (std::size_t o = 0; o < width; ++o) {
        __builtin_prefetch(reinterpret_cast<const void*>(prefetch.at + o * step_bytes), 0, 2);
      }
      prefetch.at += width * step_bytes;
    } else {
      __builtin_prefetch(reinterpret_cast<const void*>(prefetch.at), 0, 2);
      prefetch.at += prefetch.bytes_per_step;
    }
    if constexpr (rows <= S::tile_rows) {
      typename Dot::Inputs x[rows];
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) x[t] = Dot::inputs(in + t * in_stride + k);
#pragma GCC unroll 8
      for (std::size_t o = 0; o < width; ++o) {
        const typename Dot::Weights w = Dot::weights(weight[o] + k);
#pragma GCC unroll 8
        for (std::size_t t = 0; t < rows; ++t) sums[o][t] = Dot::accumulate(sums[o][t], w, x[t]);
      }
    } else {
      typename Dot::Weights w[width];
#pragma GCC unroll 8
      for (std::size_t o = 0; o < width; ++o) w[o] = Dot::weights(weight[o] + k);
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) {
        const typename Dot::Inputs x = Dot::inputs(in + t * in_stride + k);
#pragma GCC unroll 8
        for (std::size_t o = 0; o < width; ++o) sums[o][t] = Dot::accumulate(sums[o][t], w[o], x);
      }
    }
  }
  if (const std::size_t n = columns - k; n > 0) {
    typename Dot::Weights w[width];
#pragma GCC unroll 8
    for (std::size_t o = 0; o < width; ++o) w[o] = Dot::weights_tail(weight[o] + k, n);
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) {
      const typename Dot::Inputs x = Dot::inputs_tail(in + t * in_stride + k, n);
#pragma GCC unroll 8
      for (std::size_t o = 0; o < width; ++o) sums[o][t] = Dot::accumulate(sums[o][t], w[o], x);
    }
  }
#pragma GCC unroll 8
  for (std::size_t t = 0; t < rows; ++t) {
    const F4 result = S::reduce4(sums[0][t], sums[1][t], sums[2][t], sums[width - 1][t]);
    if (outputs == tile_outputs) {
      __builtin_memcpy(out + t * out_stride, &result, sizeof result);
    } else {
      for (std::size_t o = 0; o < outputs; ++o) out[t * out_stride + o] = result[o];
    }
  }
}

/// tile() for a number of rows known at run time, 1 <= rows <= most.
template <class S, class Dot, bool streaming, std::size_t most = S::tile_rows,
          std::size_t width = tile_outputs>
INITRT_INLINE void tile_of(std::size_t rows, const typename Dot::Weight* const (&weight)[width],
                           const typename Dot::Input* in, std::size_t in_stride,
                           std::size_t columns, float* out, std::size_t out_stride,
                           std::size_t outputs, Prefetch prefetch) {
  constexpr std::size_t least = most > S::tile_rows ? S::tile_rows + 1 : 1;
  if constexpr (most > least) {
    if (rows < most) {
      return tile_of<S, Dot, streaming, most - 1>(rows, weight, in, in_stride, columns, out,
                                                  out_stride, outputs, prefetch);
    }
  }
  tile<S, Dot, most, streaming>(weight, in, in_stride, columns, out, out_stride, outputs, prefetch);
}

/// A tile's sums over some of its columns.
template <class S, class Dot>
struct Columns {
  const typename Dot::Weight* const (&weight)[tile_outputs];
  const typename Dot::Input* in;
  std::size_t in_stride, columns;
  typename S::F (*sums)[tile_outputs];  ///< by row, of all columns before and with these
  bool first, last;                     ///< of a row's columns; sums are not needed before or after
  float* out;                           ///< written with the last
  std::size_t out_stride, outputs;
  Prefetch prefetch;
};

/// Adds products to the sums. Not inlined: in one function compilers would take minutes for all
/// numbers of rows.
template <class S, class Dot, std::size_t rows>
[[gnu::noinline]] void add_columns(const Columns<S, Dot>& part) {
  const typename Dot::Weight* weight[tile_outputs];
  for (std::size_t o = 0; o < tile_outputs; ++o) weight[o] = part.weight[o];
  const typename Dot::Input* const in = part.in;
  const std::size_t in_stride = part.in_stride;
  Prefetch prefetch = part.prefetch;
  typename S::F sums[tile_outputs][rows] = {};
  if (!part.first) {
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) {
#pragma GCC unroll 8
      for (std::size_t o = 0; o < tile_outputs; ++o) sums[o][t] = part.sums[t][o];
    }
  }
  std::size_t k = 0;
  for (; k + Dot::step <= part.columns; k += Dot::step) {
    typename Dot::Inputs x[rows];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) x[t] = Dot::inputs(in + t * in_stride + k);
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) {
      const typename Dot::Weights w = Dot::weights(weight[o] + k);
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) sums[o][t] = Dot::accumulate(sums[o][t], w, x[t]);
    }
    __builtin_prefetch(reinterpret_cast<const void*>(prefetch.at), 0, 2);
    prefetch.at += prefetch.bytes_per_step;
  }
  if (const std::size_t n = part.columns - k; n > 0) {
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
  if (!part.last) {
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) {
#pragma GCC unroll 8
      for (std::size_t o = 0; o < tile_outputs; ++o) part.sums[t][o] = sums[o][t];
    }
    return;
  }
#pragma GCC unroll 8
  for (std::size_t t = 0; t < rows; ++t) {
    const F4 result = S::reduce4(sums[0][t], sums[1][t], sums[2][t], sums[3][t]);
    float* const out = part.out + t * part.out_stride;
    if (part.outputs == tile_outputs) {
      __builtin_memcpy(out, &result, sizeof result);
    } else {
      for (std::size_t o = 0; o < part.outputs; ++o) out[o] = result[o];
    }
  }
}

/// add_columns() for a number of rows known at run time, 1 <= rows <= most.
template <class S, class Dot, std::size_t most = S::tile_rows>
INITRT_INLINE void add_columns_of(std::size_t rows, const Columns<S, Dot>& part) {
  if constexpr (most > 1) {
    if (rows < most) return add_columns_of<S, Dot, most - 1>(rows, part);
  }
  add_columns<S, Dot, most>(part);
}

/// Columns that a tile takes at once: its inputs stay in the nearest cache while weights pass by,
/// so all of them have room there.
template <class S, class Dot>
INITRT_INLINE std::size_t columns_at_once(std::size_t columns) {
  constexpr std::size_t cache_bytes = 40 << 10;
  constexpr std::size_t of_a_column =
      S::tile_rows * sizeof(typename Dot::Input) + tile_outputs * sizeof(typename Dot::Weight);
  constexpr std::size_t most = cache_bytes / of_a_column / Dot::step * Dot::step;
  const std::size_t parts = (columns + most - 1) / most;
  return (columns / parts + Dot::step) / Dot::step * Dot::step;
}

/// Many rows: the inputs of a tile meet some weights, which stay in the second cache for the next
/// tile, while those that follow are brought there.
template <class S, class Dot>
void linear_of_many_rows(const LinearBlock& block) {
  constexpr std::size_t tiles_at_once = 32;
  alignas(cache_line) typename S::F sums[tiles_at_once][S::tile_rows][tile_outputs];
  const auto* in = static_cast<const typename Dot::Input*>(block.in);
  const auto* weight = static_cast<const typename Dot::Weight*>(block.weight);
  const std::size_t in_stride = block.in_stride_bytes / sizeof *in;
  const std::size_t columns = block.in_columns;
  const std::size_t at_once = columns_at_once<S, Dot>(columns);
  const std::size_t row_tiles = (block.rows + S::tile_rows - 1) / S::tile_rows;
  for (std::size_t begin = 0; begin < block.out_columns; begin += tiles_at_once * tile_outputs) {
    const std::size_t left = block.out_columns - begin;
    const std::size_t outputs =
        left < tiles_at_once * tile_outputs ? left : tiles_at_once * tile_outputs;
    const std::size_t tiles = (outputs + tile_outputs - 1) / tile_outputs;
    const std::size_t steps = row_tiles * tiles * (columns / Dot::step);
    const std::size_t bytes = outputs * columns * sizeof *weight;
    Prefetch prefetch{outputs < left
                          ? reinterpret_cast<std::uintptr_t>(weight + (begin + outputs) * columns)
                          : reinterpret_cast<std::uintptr_t>(block.next_weight),
                      steps > 0 ? bytes / steps + 1 : 0};
    for (std::size_t t = 0; t < block.rows; t += S::tile_rows) {
      const std::size_t rows = block.rows - t < S::tile_rows ? block.rows - t : S::tile_rows;
      for (std::size_t k = 0; k < columns; k += at_once) {
        const std::size_t some = columns - k < at_once ? columns - k : at_once;
        for (std::size_t tile = 0; tile < tiles; ++tile) {
          const std::size_t o = begin + tile * tile_outputs;
          const std::size_t of_tile = outputs - tile * tile_outputs < tile_outputs
                                          ? outputs - tile * tile_outputs
                                          : tile_outputs;
          const typename Dot::Weight* rows_of_tile[tile_outputs];
          for (std::size_t i = 0; i < tile_outputs; ++i) {  // past the last row, the last row again
            rows_of_tile[i] = weight + (o + (i < of_tile ? i : of_tile - 1)) * columns + k;
          }
          add_columns_of<S, Dot>(rows, {.weight = rows_of_tile,
                                        .in = in + t * in_stride + k,
                                        .in_stride = in_stride,
                                        .columns = some,
                                        .sums = sums[tile],
                                        .first = k == 0,
                                        .last = k + some == columns,
                                        .out = block.out + t * block.out_stride + o,
                                        .out_stride = block.out_stride,
                                        .outputs = of_tile,
                                        .prefetch = prefetch});
          prefetch.at += some / Dot::step * prefetch.bytes_per_step;
        }
      }
    }
  }
}

/// The weights of a tile's outputs: past the last one, the last one again.
template <std::size_t width, class Weight>
INITRT_INLINE void place_rows(const Weight* first, std::size_t columns, std::size_t outputs,
                              const Weight* (&rows)[width]) {
  for (std::size_t i = 0; i < width; ++i)
    rows[i] = first + (i < outputs ? i : outputs - 1) * columns;
}

/// All rows are one tile, which the weights stream by.
template <class S, class Dot, std::size_t most, std::size_t width>
INITRT_INLINE void linear_of_one_tile(const LinearBlock& block) {
  const auto* in = static_cast<const typename Dot::Input*>(block.in);
  const auto* weight = static_cast<const typename Dot::Weight*>(block.weight);
  for (std::size_t o = 0; o < block.out_columns; o += width) {
    const std::size_t left = block.out_columns - o;
    const std::size_t outputs = left < width ? left : width;
    const typename Dot::Weight* rows_of_tile[width];
    place_rows(weight + o * block.in_columns, block.in_columns, outputs, rows_of_tile);
    tile_of<S, Dot, true, most>(
        block.rows, rows_of_tile, in, block.in_stride_bytes / sizeof *in, block.in_columns,
        block.out + o, block.out_stride, outputs,
        {reinterpret_cast<std::uintptr_t>(rows_of_tile[0] + width * block.in_columns), 0});
  }
}

template <class S, class Dot>
void linear(const LinearBlock& block) {
  const auto* in = static_cast<const typename Dot::Input*>(block.in);
  const auto* weight = static_cast<const typename Dot::Weight*>(block.weight);
  const std::size_t in_stride = block.in_stride_bytes / sizeof *in;
  const std::size_t columns = block.in_columns;
  const std::size_t tile_bytes = tile_outputs * columns * sizeof *weight;
  const std::size_t row_tiles = (block.rows + S::tile_rows - 1) / S::tile_rows;
  if (row_tiles == 1) return linear_of_one_tile<S, Dot, S::tile_rows, tile_outputs>(block);
  if constexpr (S::tall_tile_rows > 0) {
    // While its inputs stay in the nearest cache.
    if (block.rows <= S::tall_tile_rows && block.rows * block.in_stride_bytes <= tall_tile_bytes) {
      return linear_of_one_tile<S, Dot, S::tall_tile_rows, tall_tile_outputs>(block);
    }
  }
  if (row_tiles > few_row_tiles && columns > 0) return linear_of_many_rows<S, Dot>(block);
  const std::size_t height = (block.rows + row_tiles - 1) / row_tiles;  // of tiles alike
  const std::size_t steps = row_tiles * (columns / Dot::step);
  for (std::size_t o = 0; o < block.out_columns; o += tile_outputs) {
    const std::size_t left = block.out_columns - o;
    const std::size_t outputs = left < tile_outputs ? left : tile_outputs;
    const typename Dot::Weight* rows_of_tile[tile_outputs];
    place_rows(weight + o * columns, columns, outputs, rows_of_tile);
    // The next tile of weights arrives evenly spread over this one's work.
    const std::size_t per_step = steps > 0 ? tile_bytes / steps + 1 : 0;
    const auto next = reinterpret_cast<std::uintptr_t>(rows_of_tile[0]) + tile_bytes;
    std::size_t done_steps = 0;
    for (std::size_t t = 0; t < block.rows; t += height) {
      const std::size_t rows = block.rows - t < height ? block.rows - t : height;
      tile_of<S, Dot, false>(rows, rows_of_tile, in + t * in_stride, in_stride, columns,
                             block.out + t * block.out_stride + o, block.out_stride, outputs,
                             {next + done_steps * per_step, per_step});
      done_steps += columns / Dot::step;
    }
  }
}

}  // namespace
}  // namespace initrt::cpu
