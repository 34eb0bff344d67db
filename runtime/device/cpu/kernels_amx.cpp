// Kernels for AMX with BF16: bf16 products in tiles, whether weights are held as numbers or as
// codes. All else is as AVX-512 with BF16 has it.
#include "runtime/device/cpu/kernels_tiles.h"

namespace initrt::cpu {
namespace {

/// Columns of codes that become numbers at once, whole blocks of every format.
constexpr std::size_t panel_columns = 512;

INITRT_INLINE std::size_t pairs_of(std::size_t rows) { return (rows + pair_rows - 1) / pair_rows; }

/// Inputs as their tile has them: pairs of columns, each of all rows; zeros behind the last
/// column, up to a whole step.
void interleave_inputs(const float* in, std::size_t stride, std::size_t rows, std::size_t columns,
                       void* out) {
  using S = Vectors<16>;
  auto* to = static_cast<std::uint32_t*>(out);
  for (std::size_t k = 0; k < columns; k += step_columns) {
    const std::size_t n = least(columns - k, step_columns);
    const __mmask16 low = first_lanes(least(n, tile_size)),
                    high = first_lanes(n - least(n, tile_size));
    Floats16 pairs[tile_size];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < tile_size; ++i) {
      pairs[i] = Floats16{};
      if (i < rows) {
        const float* from = in + i * stride + k;
        const auto a = (__m256i)S::to_bf16(_mm512_maskz_loadu_ps(low, from)),
                   b = (__m256i)S::to_bf16(_mm512_maskz_loadu_ps(high, from + tile_size));
        pairs[i] = (Floats16)_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
      }
    }
    if (rows == 1) {
      _mm512_storeu_si512(to, (__m512i)pairs[0]);
      to += tile_size;
      continue;
    }
    transpose(pairs);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < tile_size; ++i, to += rows) {
      _mm512_mask_storeu_epi32(to, first_lanes(rows), (__m512i)pairs[i]);
    }
  }
}

/// All inputs are in two tiles at most, which the weights stream by.
void linear_of_few_rows(const LinearBlock& block) {
  Tiles tiles;
  alignas(cache_line) float sums[4][tile_floats];
  const auto* weights = static_cast<const std::uint16_t*>(block.weight);
  const std::size_t columns = block.in_columns;
  const TileInputs in(block.in, block.in_stride_bytes, block.rows);
  for (std::size_t o = 0; o < block.out_columns; o += tile_size) {
    TileRows rows;
    divide_rows(least(block.out_columns - o, tile_size), rows.weights);
    divide_rows(block.rows, rows.inputs);
    tiles.shape(rows);
    const std::uint16_t* first = weights + o * columns;
    multiply(tiles, {.weights = first,
                     .weight_stride = columns,
                     .weight_step = step_columns,
                     .packed = nullptr,
                     .inputs = {in.at(0, 0), in.at(block.rows > tile_size ? tile_size : 0, 0)},
                     .columns = columns,
                     .sums = sums,
                     .first = true,
                     .last = true,
                     .out = block.out + o,
                     .out_stride = block.out_stride,
                     .ahead = {.at = reinterpret_cast<std::uintptr_t>(first + tile_size * columns),
                               .lines = tile_size,
                               .stride = cache_line,
                               .step = tile_size * cache_line}});
  }
}

/// What many rows meet of weights at a time, as the first rows' tiles keep it for the others: rows
/// that are 4096 bytes apart, as matrices have them, would share a few sets of the nearest cache.
class PackedWeights {
 public:
  static constexpr std::size_t outputs = 128, columns = 1024;
  static constexpr std::size_t pairs = outputs / pair_rows;

  /// Of two tiles of outputs, all steps.
  [[nodiscard]] [[gnu::always_inline]] std::uint16_t* pair(std::size_t i) { return tiles_[i]; }

 private:
  alignas(cache_line) std::uint16_t tiles_[pairs][columns * pair_rows];
};

/// Sums of many rows while some columns after others are added.
struct ManySums {
  static constexpr std::size_t rows = 256;
  alignas(cache_line) float of[rows / pair_rows][PackedWeights::pairs][4][tile_floats];
};

/// Some outputs and columns of weights, which meet some rows of inputs, while the weights that
/// follow are brought to the second-level cache.
struct ManyRows {
  std::size_t output, outputs, row, rows, column, columns;
};

void multiply_many_rows(const LinearBlock& block, const ManyRows& part, std::uintptr_t next,
                        Tiles& tiles, PackedWeights& packed, ManySums& sums) {
  const std::size_t stride = block.in_columns;
  const auto* weights =
      static_cast<const std::uint16_t*>(block.weight) + part.output * stride + part.column;
  const TileInputs in(block.in, block.in_stride_bytes, block.rows);
  const std::size_t products = pairs_of(part.rows) * pairs_of(part.outputs);
  Ahead ahead{.at = next,
              .lines = (part.outputs + products - 1) / products,
              .stride = stride * sizeof *weights,
              .step = cache_line};
  for (std::size_t t = 0; t < part.rows; t += pair_rows) {
    const std::size_t row = part.row + t, some_rows = least(part.rows - t, pair_rows);
    for (std::size_t o = 0; o < part.outputs; o += pair_rows) {
      TileRows rows;
      divide_rows(least(part.outputs - o, pair_rows), rows.weights);
      divide_rows(some_rows, rows.inputs);
      tiles.shape(rows);
      TileProduct product{
          .weights = weights + o * stride,
          .weight_stride = stride,
          .weight_step = step_columns,
          .packed = packed.pair(o / pair_rows),
          .inputs = {in.at(row, part.column),
                     in.at(some_rows > tile_size ? row + tile_size : row, part.column)},
          .columns = part.columns,
          .sums = sums.of[t / pair_rows][o / pair_rows],
          .first = part.column == 0,
          .last = part.column + part.columns == block.in_columns,
          .out = block.out + row * block.out_stride + part.output + o,
          .out_stride = block.out_stride,
          .ahead = ahead};
      if (t > 0) product.take_packed();
      multiply(tiles, product);
      ahead.at += ahead.lines * ahead.stride;
    }
  }
}

void linear_of_many_rows(const LinearBlock& block) {
  Tiles tiles;
  PackedWeights packed;
  ManySums sums;
  const std::size_t parts =
      (block.in_columns + PackedWeights::columns - 1) / PackedWeights::columns;
  const std::size_t columns = whole_steps((block.in_columns + parts - 1) / parts) * step_columns;
  const auto at = [&](std::size_t output, std::size_t column) {
    return reinterpret_cast<std::uintptr_t>(static_cast<const std::uint16_t*>(block.weight) +
                                            output * block.in_columns + column);
  };
  for (std::size_t o = 0; o < block.out_columns; o += PackedWeights::outputs) {
    const std::size_t outputs = least(block.out_columns - o, PackedWeights::outputs);
    const std::uintptr_t after = o + outputs < block.out_columns
                                     ? at(o + outputs, 0)
                                     : reinterpret_cast<std::uintptr_t>(block.next_weight);
    for (std::size_t row = 0; row < block.rows; row += ManySums::rows) {
      const std::size_t rows = least(block.rows - row, ManySums::rows);
      for (std::size_t k = 0; k < block.in_columns; k += columns) {
        const std::size_t some = least(block.in_columns - k, columns);
        const std::uintptr_t next = k + some < block.in_columns ? at(o, k + some)
                                    : row + rows < block.rows   ? at(o, 0)
                                                                : after;
        multiply_many_rows(block, {o, outputs, row, rows, k, some}, next, tiles, packed, sums);
      }
    }
  }
}

void linear(const LinearBlock& block) {
  if (block.in_columns == 0) {  // sums of nothing
    for (std::size_t row = 0; row < block.rows; ++row) {
      float* const out = block.out + row * block.out_stride;
      for (std::size_t o = 0; o < block.out_columns; ++o) out[o] = 0.0f;
    }
  } else if (block.rows <= few_row_tiles * tile_size) {
    linear_of_few_rows(block);
  } else {
    linear_of_many_rows(block);
  }
}
static_assert(few_row_tiles == 2);

/// Numbers of some columns of `height` rows, with zeros behind the last column up to a whole step.
template <std::size_t height>
class Panel {
 public:
  static constexpr std::size_t stride = panel_columns + cache_line / 2;  ///< elements

  /// Row i is row `row` of the block, from column k on.
  [[gnu::always_inline]] void decode(const CodedBlock& block, const Decoder& decoder,
                                     std::size_t row, std::size_t i, std::size_t k,
                                     std::size_t columns) {
    const std::size_t group = k / coded_group;
    const std::byte* scales = block.scales + row * block.scale_row_bytes;
    if (decoder.decode_scales != nullptr) {
      decoder.decode_scales(scales, block.in_columns, k / four_bit_block,
                            (columns + four_bit_block - 1) / four_bit_block, scales_);
      scales = reinterpret_cast<const std::byte*>(scales_);
    } else {
      scales += group * decoder.group_scale_bytes;
    }
    decoder.decode(block.codes + row * block.row_bytes + group * decoder.group_bytes, scales,
                   columns, height * block.row_bytes, numbers_[i]);
    const std::size_t padded = whole_steps(columns) * step_columns;
    for (std::size_t c = columns; c < padded; ++c) numbers_[i][c] = 0;
    keep(numbers_[i]);
  }

  [[nodiscard]] [[gnu::always_inline]] const std::uint16_t* numbers() const { return numbers_[0]; }

 private:
  alignas(cache_line) std::uint16_t numbers_[height][stride];
  float scales_[panel_columns / four_bit_block];
};

/// Steps of a tile of weights with a tile of inputs that are yet to be done.
struct Pending {
  const std::uint16_t *weights = nullptr, *inputs = nullptr;
  std::size_t weight_stride = 0, steps = 0;
  float* out = nullptr;  ///< where the sums belong after these steps, or null

  [[gnu::always_inline]] void step(const TileRows& rows) {
    multiply_step<1, 1>(weights, weight_stride, inputs, nullptr, rows);
    weights += step_columns;
    inputs += rows.inputs[0] * step_columns;
    --steps;
  }
  void finish(const TileRows& rows, std::size_t out_stride) {
    while (steps > 0) step(rows);
    if (out == nullptr) return;
    alignas(cache_line) float sums[tile_floats];
    _tile_stored(0, sums, cache_line);
    _tile_zero(0);
    put_sums(sums, rows.weights[0], rows.inputs[0], out, out_stride);
  }
};

/// All inputs are in one tile: while some numbers meet them, which alone would take as long as
/// decoding, the next ones are decoded, and a step is begun after each row.
void linear_decoded_of_few_rows(const CodedBlock& block, const Decoder& decoder) {
  Tiles tiles;
  Panel<tile_size> panels[2];
  Pending pending;
  const TileInputs in(block.in, block.in_stride_bytes, block.rows);
  std::size_t turn = 0;
  for (std::size_t o = 0; o < block.out_columns; o += tile_size) {
    const TileRows rows{.weights = {least(block.out_columns - o, tile_size), 0},
                        .inputs = {block.rows, 0}};
    if (!(rows == tiles.rows())) {
      if (o > 0) pending.finish(tiles.rows(), block.out_stride);
      pending = {};
      tiles.shape(rows);
    }
    for (std::size_t k = 0; k < block.in_columns; k += panel_columns, ++turn) {
      Panel<tile_size>& panel = panels[turn % 2];
      const std::size_t columns = least(block.in_columns - k, panel_columns);
      for (std::size_t i = 0; i < rows.weights[0]; ++i) {
        panel.decode(block, decoder, o + i, i, k, columns);
        if (pending.steps > 0) pending.step(rows);
      }
      pending.finish(rows, block.out_stride);
      pending = {.weights = panel.numbers(),
                 .inputs = in.at(0, k),
                 .weight_stride = Panel<tile_size>::stride,
                 .steps = whole_steps(columns),
                 .out = k + columns == block.in_columns ? block.out + o : nullptr};
    }
  }
  pending.finish(tiles.rows(), block.out_stride);
}

void linear_decoded_of_many_rows(const CodedBlock& block, const Decoder& decoder) {
  Tiles tiles;
  Panel<pair_rows> panel;
  alignas(cache_line) float sums[coded_rows / pair_rows][4][tile_floats];
  static_assert(coded_rows % pair_rows == 0);
  const TileInputs in(block.in, block.in_stride_bytes, block.rows);
  for (std::size_t o = 0; o < block.out_columns; o += pair_rows) {
    const std::size_t outputs = least(block.out_columns - o, pair_rows);
    TileRows rows{};
    divide_rows(outputs, rows.weights);
    for (std::size_t k = 0; k < block.in_columns; k += panel_columns) {
      const std::size_t columns = least(block.in_columns - k, panel_columns);
      for (std::size_t i = 0; i < outputs; ++i) {
        panel.decode(block, decoder, o + i, i, k, columns);
      }
      for (std::size_t t = 0; t < block.rows; t += pair_rows) {
        const std::size_t some_rows = least(block.rows - t, pair_rows);
        divide_rows(some_rows, rows.inputs);
        tiles.shape(rows);
        multiply(tiles,
                 {.weights = panel.numbers(),
                  .weight_stride = Panel<pair_rows>::stride,
                  .weight_step = step_columns,
                  .packed = nullptr,
                  .inputs = {in.at(t, k), in.at(some_rows > tile_size ? t + tile_size : t, k)},
                  .columns = whole_steps(columns) * step_columns,
                  .sums = sums[t / pair_rows],
                  .first = k == 0,
                  .last = k + columns == block.in_columns,
                  .out = block.out + t * block.out_stride + o,
                  .out_stride = block.out_stride,
                  .ahead = {}});
      }
    }
  }
}

void linear_decoded(const CodedBlock& block, const Decoder& decoder) {
  if (block.rows <= tile_size) {
    linear_decoded_of_few_rows(block, decoder);
  } else {
    linear_decoded_of_many_rows(block, decoder);
  }
}

}  // namespace

Kernels amx_kernels() {
  constexpr auto bf16 = static_cast<std::size_t>(Storage::Bf16);
  Kernels kernels = avx512bf16_kernels;
  kernels.tile_rows[bf16] = tile_size;
  kernels.tile_outputs[bf16] = tile_size;
  kernels.piece_outputs[bf16] = PackedWeights::outputs;
  kernels.input_rows[bf16] = tile_size;
  kernels.linear[bf16] = linear;
  kernels.round_inputs[bf16] = interleave_inputs;
  kernels.linear_decoded[bf16] = linear_decoded;
  for (auto& of_format : kernels.decoders) of_format[bf16].linear_row = nullptr;
  return kernels;
}

}  // namespace initrt::cpu
