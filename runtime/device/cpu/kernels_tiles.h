// A product of bf16 numbers in AMX's tiles: sixteen rows of weights, read in place, meet sixteen
// rows of inputs, interleaved by pairs of columns. For each sum, one instruction multiplies and
// adds 32 columns, from column 0 on; the last ones are padded with zeros. A tile's number of rows
// does not change a sum's bits. Included by that kernel file alone.
#pragma once

#include <immintrin.h>

#include "runtime/device/cpu/kernels.h"
#include "runtime/device/cpu/simd.h"

namespace initrt::cpu {
namespace {

constexpr std::size_t tile_size = 16;  ///< rows of a tile, of weights or inputs
constexpr std::size_t pair_rows = 2 * tile_size;
constexpr std::size_t step_columns = 32;  ///< of an instruction
constexpr std::size_t cache_line = 64;    ///< a tile's row of weights, of inputs or of sums
constexpr std::size_t tile_floats = tile_size * tile_size;

using Floats16 = VectorTypes<16>::F;

INITRT_INLINE std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }

INITRT_INLINE std::size_t whole_steps(std::size_t columns) {
  return (columns + step_columns - 1) / step_columns;
}

INITRT_INLINE __mmask16 first_lanes(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1); }

/// Compilers do not know that tile loads read memory: makes what was written there be there.
INITRT_INLINE void keep(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

/// Row i of the result is lane i of each row.
INITRT_INLINE void transpose(Floats16 (&rows)[tile_size]) {
  Floats16 pairs[tile_size], fours[tile_size];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < tile_size; i += 4) {
    pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    pairs[i + 2] = _mm512_unpacklo_ps(rows[i + 2], rows[i + 3]);
    pairs[i + 3] = _mm512_unpackhi_ps(rows[i + 2], rows[i + 3]);
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < tile_size; i += 4) {
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
      const auto low = (__m512d)pairs[i + half], high = (__m512d)pairs[i + half + 2];
      fours[i + 2 * half] = (Floats16)_mm512_unpacklo_pd(low, high);
      fours[i + 2 * half + 1] = (Floats16)_mm512_unpackhi_pd(low, high);
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) {
    const Floats16 even = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0x88),
                   odd = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0xdd),
                   even_after = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0x88),
                   odd_after = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0xdd);
    rows[i] = _mm512_shuffle_f32x4(even, even_after, 0x88);
    rows[i + 4] = _mm512_shuffle_f32x4(odd, odd_after, 0x88);
    rows[i + 8] = _mm512_shuffle_f32x4(even, even_after, 0xdd);
    rows[i + 12] = _mm512_shuffle_f32x4(odd, odd_after, 0xdd);
  }
}

/// Rows of weights and of inputs of up to two tiles each; 0 for no tile.
struct TileRows {
  std::size_t weights[2], inputs[2];
  bool operator==(const TileRows&) const = default;
};

/// This thread's tiles while a product is computed: 0 to 3 hold sums (of weights / 2 with inputs
/// % 2), 4 and 5 weights, 6 and 7 inputs. Afterwards the thread has none, as before.
class Tiles {
 public:
  Tiles() = default;
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
  [[gnu::always_inline]] ~Tiles() { _tile_release(); }

  [[nodiscard]] [[gnu::always_inline]] const TileRows& rows() const { return rows_; }

  /// Sets shapes, which takes as long as some hundred multiplications: where they are others.
  [[gnu::always_inline]] void shape(const TileRows& rows) {
    if (rows == rows_) return;
    rows_ = rows;
    Config config{};
    for (std::size_t i = 0; i < 2; ++i) {
      for (std::size_t j = 0; j < 2; ++j) {
        if (rows.weights[i] == 0 || rows.inputs[j] == 0) continue;
        config.set(2 * i + j, rows.weights[i], rows.inputs[j] * sizeof(float));
      }
      if (rows.weights[i] > 0) config.set(4 + i, rows.weights[i], cache_line);
      if (rows.inputs[i] > 0) config.set(6 + i, tile_size, rows.inputs[i] * sizeof(float));
    }
    keep(&config);
    _tile_loadconfig(&config);
  }

 private:
  /// As LDTILECFG reads it.
  struct alignas(cache_line) Config {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};

    [[gnu::always_inline]] void set(std::size_t tile, std::size_t height, std::size_t bytes) {
      rows[tile] = static_cast<std::uint8_t>(height);
      row_bytes[tile] = static_cast<std::uint16_t>(bytes);
    }
  };
  TileRows rows_{};
};

/// What comes next of weights: each step prefetches some cache lines, and the next step what is
/// behind them. Prefetches may run past the matrix: they never fault.
struct Ahead {
  std::uintptr_t at = 0;
  std::size_t lines = 0;             ///< of a step
  std::size_t stride = 0, step = 0;  ///< bytes from line to line, and from step to step
};

/// Some columns of a product of the shape that tiles have. Weights begin with a tile's row 0;
/// inputs of each tile with the first of these columns.
struct TileProduct {
  const std::uint16_t* weights;
  std::size_t weight_stride;  ///< elements, from row to row
  std::size_t weight_step;    ///< elements, from step to step
  std::uint16_t* packed;      ///< keeps tiles of weights as they are loaded, step by step, or null
  const std::uint16_t* inputs[2];
  std::size_t columns;
  float (*sums)[tile_floats];  ///< of four tiles, of all columns before and with these
  bool first, last;            ///< of a row's columns; sums are not needed before or after
  float* out;                  ///< written with the last
  std::size_t out_stride;      ///< elements
  Ahead ahead;

  /// Multiplies what another product of the same weights has packed.
  [[gnu::always_inline]] void take_packed() {
    weights = packed;
    weight_stride = step_columns;
    weight_step = pair_rows * step_columns;
    columns = whole_steps(columns) * step_columns;
    packed = nullptr;
  }
};

/// Multiplies what tiles of `weights` tiles and `inputs` tiles hold.
template <std::size_t weights, std::size_t inputs>
INITRT_INLINE void multiply_step(const std::uint16_t* w, std::size_t w_stride,
                                 const std::uint16_t* x0, const std::uint16_t* x1,
                                 const TileRows& rows) {
  const std::size_t w_bytes = w_stride * sizeof *w;
  _tile_loadd(6, x0, rows.inputs[0] * sizeof(float));
  _tile_loadd(4, w, w_bytes);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (inputs == 2) {
    _tile_loadd(7, x1, rows.inputs[1] * sizeof(float));
    _tile_dpbf16ps(1, 4, 7);
  }
  if constexpr (weights == 2) {
    _tile_loadd(5, w + tile_size * w_stride, w_bytes);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (inputs == 2) _tile_dpbf16ps(3, 5, 7);
  }
}

/// Stores the tiles of weights. @return where the next step's belong
template <std::size_t weights>
INITRT_INLINE std::uint16_t* pack_weights(std::uint16_t* to) {
  constexpr std::size_t tile = tile_size * step_columns;
  _tile_stored(4, to, cache_line);
  if constexpr (weights == 2) _tile_stored(5, to + tile, cache_line);
  return to + 2 * tile;
}

/// The last columns of weights, with zeros behind them.
struct LastColumns {
  alignas(cache_line) std::uint16_t weights[pair_rows][step_columns];

  [[gnu::always_inline]] LastColumns(const std::uint16_t* from, std::size_t stride,
                                     std::size_t rows, std::size_t columns) {
    const auto mask = static_cast<__mmask32>((1u << columns) - 1);
    for (std::size_t i = 0; i < rows; ++i) {
      _mm512_store_si512(weights[i], _mm512_maskz_loadu_epi16(mask, from + i * stride));
    }
    keep(weights);
  }
};

/// A tile of sums, stored by rows of weights, to where they belong.
INITRT_INLINE void put_sums(const float* sums, std::size_t weights, std::size_t inputs, float* out,
                            std::size_t out_stride) {
  Floats16 rows[tile_size];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < tile_size; ++i) {
    rows[i] = i < weights ? _mm512_load_ps(sums + i * tile_size) : Floats16{};
  }
  transpose(rows);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < tile_size; ++i) {
    if (i < inputs) {
      _mm512_mask_storeu_ps(out + i * out_stride, first_lanes(weights), rows[i]);
    }
  }
}

/// @tparam weights tiles of them, as of inputs, that the shape has
template <std::size_t weights, std::size_t inputs>
[[gnu::noinline]] void multiply_columns(const TileRows& rows, const TileProduct& part) {
  keep(part.weights);
  if (part.first) {
    _tile_zero(0);
    if constexpr (inputs == 2) _tile_zero(1);
    if constexpr (weights == 2) _tile_zero(2);
    if constexpr (weights == 2 && inputs == 2) _tile_zero(3);
  } else {
    _tile_loadd(0, part.sums[0], cache_line);
    if constexpr (inputs == 2) _tile_loadd(1, part.sums[1], cache_line);
    if constexpr (weights == 2) _tile_loadd(2, part.sums[2], cache_line);
    if constexpr (weights == 2 && inputs == 2) _tile_loadd(3, part.sums[3], cache_line);
  }
  const std::uint16_t *w = part.weights, *x0 = part.inputs[0], *x1 = part.inputs[1];
  const std::size_t x0_step = rows.inputs[0] * step_columns,
                    x1_step = rows.inputs[1] * step_columns;
  std::uintptr_t ahead = part.ahead.at;
  std::uint16_t* packed = part.packed;
  for (std::size_t left = part.columns / step_columns; left > 0; --left) {
    for (std::size_t i = 0; i < part.ahead.lines; ++i) {
      __builtin_prefetch(reinterpret_cast<const void*>(ahead + i * part.ahead.stride), 0, 2);
    }
    ahead += part.ahead.step;
    multiply_step<weights, inputs>(w, part.weight_stride, x0, x1, rows);
    if (packed != nullptr) packed = pack_weights<weights>(packed);
    w += part.weight_step;
    x0 += x0_step;
    x1 += x1_step;
  }
  if (const std::size_t n = part.columns % step_columns; n > 0) {
    const LastColumns padded(w, part.weight_stride, rows.weights[0] + rows.weights[1], n);
    multiply_step<weights, inputs>(padded.weights[0], step_columns, x0, x1, rows);
    if (packed != nullptr) pack_weights<weights>(packed);
  }
  if (part.last && rows.inputs[0] == 1) {  // as it lies in its tile
    _tile_stored(0, part.out, sizeof(float));
    if constexpr (weights == 2) _tile_stored(2, part.out + tile_size, sizeof(float));
    return;
  }
  _tile_stored(0, part.sums[0], cache_line);
  if constexpr (inputs == 2) _tile_stored(1, part.sums[1], cache_line);
  if constexpr (weights == 2) _tile_stored(2, part.sums[2], cache_line);
  if constexpr (weights == 2 && inputs == 2) _tile_stored(3, part.sums[3], cache_line);
  if (!part.last) return;
  for (std::size_t i = 0; i < weights; ++i) {
    for (std::size_t j = 0; j < inputs; ++j) {
      put_sums(part.sums[2 * i + j], rows.weights[i], rows.inputs[j],
               part.out + j * tile_size * part.out_stride + i * tile_size, part.out_stride);
    }
  }
}

INITRT_INLINE void multiply(const Tiles& tiles, const TileProduct& part) {
  const TileRows& rows = tiles.rows();
  if (rows.weights[1] > 0) {
    rows.inputs[1] > 0 ? multiply_columns<2, 2>(rows, part) : multiply_columns<2, 1>(rows, part);
  } else {
    rows.inputs[1] > 0 ? multiply_columns<1, 2>(rows, part) : multiply_columns<1, 1>(rows, part);
  }
}

/// `count` rows in two tiles at most.
INITRT_INLINE void divide_rows(std::size_t count, std::size_t (&rows)[2]) {
  rows[0] = least(count, tile_size);
  rows[1] = least(count - rows[0], tile_size);
}

/// Where inputs of a block lie: whole tiles of rows, and of the last rows what there is.
class TileInputs {
 public:
  TileInputs(const void* in, std::size_t stride_bytes, std::size_t rows)
      : in_(static_cast<const std::uint16_t*>(in)),
        stride_(stride_bytes / sizeof *in_),
        rows_(rows) {}

  /// @param t the tile's first row, a multiple of tile_size
  /// @param k the first column, a multiple of step_columns
  [[gnu::always_inline]] const std::uint16_t* at(std::size_t t, std::size_t k) const {
    return in_ + t * stride_ + k * least(rows_ - t, tile_size);
  }

 private:
  const std::uint16_t* in_;
  std::size_t stride_, rows_;
};

}  // namespace
}  // namespace initrt::cpu
