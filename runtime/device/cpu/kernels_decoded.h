// Products with weights that are held as codes, other than Int8: some columns of four rows at a
// time become numbers in the nearest cache, which then meet every row of inputs. Sums have the
// order of linear() with the same numbers, and so its bits.
#pragma once

#include "runtime/device/cpu/kernels_decoders.h"
#include "runtime/device/cpu/kernels_linear.h"

namespace initrt::cpu {
namespace {

constexpr std::size_t panel_columns = 1024;  ///< whole blocks and steps of every format and set

/// sums[t][o] += in[t] * panel[o] over some columns. Not inlined: in one function compilers would
/// take minutes for all numbers of rows.
template <class S, class Dot, std::size_t rows>
[[gnu::noinline]] void add_columns(const typename Dot::Weight* const (&panel)[tile_outputs],
                                   const typename Dot::Input* in, std::size_t in_stride,
                                   std::size_t columns, typename S::F (*sums)[tile_outputs]) {
  typename S::F local[tile_outputs][rows];
#pragma GCC unroll 8
  for (std::size_t t = 0; t < rows; ++t) {
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) local[o][t] = sums[t][o];
  }
  std::size_t k = 0;
  for (; k + Dot::step <= columns; k += Dot::step) {
    typename Dot::Inputs x[rows];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) x[t] = Dot::inputs(in + t * in_stride + k);
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) {
      const typename Dot::Weights w = Dot::weights(panel[o] + k);
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) local[o][t] = Dot::accumulate(local[o][t], w, x[t]);
    }
  }
  if (const std::size_t n = columns - k; n > 0) {
    typename Dot::Inputs x[rows];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) x[t] = Dot::inputs_tail(in + t * in_stride + k, n);
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) {
      const typename Dot::Weights w = Dot::weights_tail(panel[o] + k, n);
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) local[o][t] = Dot::accumulate(local[o][t], w, x[t]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t t = 0; t < rows; ++t) {
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) sums[t][o] = local[o][t];
  }
}

/// add_columns() for a number of rows known at run time, 1 <= rows <= most.
template <class S, class Dot, std::size_t most = S::tile_rows>
INITRT_INLINE void add_columns_of(std::size_t rows,
                                  const typename Dot::Weight* const (&panel)[tile_outputs],
                                  const typename Dot::Input* in, std::size_t in_stride,
                                  std::size_t columns, typename S::F (*sums)[tile_outputs]) {
  if constexpr (most > 1) {
    if (rows < most) {
      return add_columns_of<S, Dot, most - 1>(rows, panel, in, in_stride, columns, sums);
    }
  }
  add_columns<S, Dot, most>(panel, in, in_stride, columns, sums);
}

template <class S, class Dot>
void linear_decoded(const CodedBlock& block, const Decoder& decoder) {
  if (block.rows == 1 && decoder.linear_row != nullptr) return decoder.linear_row(block);
  using Number = typename Dot::Weight;
  constexpr std::size_t panel_stride = panel_columns + cache_line / sizeof(Number);
  alignas(cache_line) Number panel[tile_outputs][panel_stride];
  alignas(cache_line) typename S::F sums[coded_rows][tile_outputs];
  const auto* in = static_cast<const typename Dot::Input*>(block.in);
  const std::size_t in_stride = block.in_stride_bytes / sizeof *in;
  for (std::size_t o = 0; o < block.out_columns; o += tile_outputs) {
    const std::size_t left = block.out_columns - o;
    const std::size_t outputs = left < tile_outputs ? left : tile_outputs;
    const Number* rows_of_panel[tile_outputs];
    for (std::size_t i = 0; i < tile_outputs; ++i) {  // past the last row, the last row again
      rows_of_panel[i] = panel[i < outputs ? i : outputs - 1];
    }
    for (std::size_t t = 0; t < block.rows; ++t) {
      for (std::size_t i = 0; i < tile_outputs; ++i) sums[t][i] = typename S::F{};
    }
    for (std::size_t k = 0; k < block.in_columns; k += panel_columns) {
      const std::size_t columns =
          block.in_columns - k < panel_columns ? block.in_columns - k : panel_columns;
      const std::size_t group = k / coded_group;
      for (std::size_t i = 0; i < outputs; ++i) {
        decoder.decode(
            block.codes + (o + i) * block.row_bytes + group * decoder.group_bytes,
            block.scales + (o + i) * block.scale_row_bytes + group * decoder.group_scale_bytes,
            columns, tile_outputs * block.row_bytes, panel[i]);
      }
      for (std::size_t t = 0; t < block.rows; t += S::tile_rows) {
        const std::size_t rows = block.rows - t < S::tile_rows ? block.rows - t : S::tile_rows;
        add_columns_of<S, Dot>(rows, rows_of_panel, in + t * in_stride + k, in_stride, columns,
                               sums + t);
      }
    }
    for (std::size_t t = 0; t < block.rows; ++t) {
      const F4 result = S::reduce4(sums[t][0], sums[t][1], sums[t][2], sums[t][3]);
      float* out = block.out + t * block.out_stride + o;
      for (std::size_t i = 0; i < outputs; ++i) out[i] = result[i];
    }
  }
}

}  // namespace
}  // namespace initrt::cpu
