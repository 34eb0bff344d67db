// Products with weights that are held as codes, other than Int8: some columns of four rows at a
// time become numbers in the nearest cache, which then meet every row of inputs. Sums have the
// order of linear() with the same numbers, and so its bits.
#pragma once

#include "runtime/device/cpu/kernels_decoders.h"
#include "runtime/device/cpu/kernels_linear.h"

namespace initrt::cpu {
namespace {

constexpr std::size_t panel_columns = 1024;  ///< whole blocks and steps of every format and set

template <class S, class Dot>
void linear_decoded(const CodedBlock& block, const Decoder& decoder) {
  if (block.rows == 1 && decoder.linear_row != nullptr) return decoder.linear_row(block);
  using Number = typename Dot::Weight;
  constexpr std::size_t panel_stride = panel_columns + cache_line / sizeof(Number);
  alignas(cache_line) Number panel[tile_outputs][panel_stride];
  float panel_scales[panel_columns / four_bit_block];
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
    for (std::size_t k = 0; k < block.in_columns; k += panel_columns) {
      const std::size_t columns =
          block.in_columns - k < panel_columns ? block.in_columns - k : panel_columns;
      const std::size_t group = k / coded_group;
      for (std::size_t i = 0; i < outputs; ++i) {
        const std::byte* scales = block.scales + (o + i) * block.scale_row_bytes;
        if (decoder.decode_scales != nullptr) {
          decoder.decode_scales(scales, block.in_columns, k / four_bit_block,
                                (columns + four_bit_block - 1) / four_bit_block, panel_scales);
          scales = reinterpret_cast<const std::byte*>(panel_scales);
        } else {
          scales += group * decoder.group_scale_bytes;
        }
        decoder.decode(block.codes + (o + i) * block.row_bytes + group * decoder.group_bytes,
                       scales, columns, tile_outputs * block.row_bytes, panel[i]);
      }
      for (std::size_t t = 0; t < block.rows; t += S::tile_rows) {
        const std::size_t rows = block.rows - t < S::tile_rows ? block.rows - t : S::tile_rows;
        add_columns_of<S, Dot>(rows, {.weight = rows_of_panel,
                                      .in = in + t * in_stride + k,
                                      .in_stride = in_stride,
                                      .columns = columns,
                                      .sums = sums + t,
                                      .first = k == 0,
                                      .last = k + columns == block.in_columns,
                                      .out = block.out + t * block.out_stride + o,
                                      .out_stride = block.out_stride,
                                      .outputs = outputs,
                                      .prefetch = {reinterpret_cast<std::uintptr_t>(panel), 0}});
      }
    }
  }
}

}  // namespace
}  // namespace initrt::cpu
