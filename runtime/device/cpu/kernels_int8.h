// LLM.int8() (arXiv:2208.07339): rows of inputs become codes by their largest magnitude, products
// of codes are summed exactly, and the few inputs that are outliers are multiplied as they are.
// Every instruction set gives the same bits: sums of integers are exact, and each step around them
// is one rounded float operation.
#pragma once

#include "runtime/device/cpu/kernels_linear.h"

namespace initrt::cpu {
namespace {

using Four = Vectors<4>;  ///< sums of a tile's four outputs

INITRT_INLINE std::size_t padded_codes(std::size_t columns) {
  return (columns + cache_line - 1) / cache_line * cache_line;
}

/// Inputs that are no outliers, 0 for those that are; `outliers` are -1 in their lanes.
template <class S>
struct KeptInputs {
  typename S::F values;
  typename S::I outliers;
};

/// @param threshold NaN for none
template <class S, class Element>
INITRT_INLINE KeptInputs<S> kept_inputs(typename S::F v, float threshold) {
  const typename S::F x = Element::rounded(v);
  const auto magnitude = (typename S::F)((typename S::U)x & 0x7fffffffu);
  const typename S::I outliers = magnitude >= S::set1(threshold);
  return {S::select(outliers, typename S::F{}, x), outliers};
}

/// walk(vector, column, lanes in use) over a row.
template <class S, class Walk>
INITRT_INLINE void walk_vectors(const float* in, std::size_t columns, Walk walk) {
  std::size_t k = 0;
  for (; k + S::lanes <= columns; k += S::lanes) walk(S::load(in + k), k, S::lanes);
  if (const std::size_t n = columns - k; n > 0) walk(S::load_tail(in + k, n), k, n);
}

/// The largest magnitude, or NaN where one is, or an infinity.
template <class S, class Element>
INITRT_INLINE float largest_kept(const float* in, std::size_t columns, float threshold) {
  typename S::U largest{};
  walk_vectors<S>(
      in, columns, [&](typename S::F v, std::size_t, std::size_t) __attribute__((always_inline)) {
        const auto magnitude =
            (typename S::U)kept_inputs<S, Element>(v, threshold).values & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
      });
  std::uint32_t all = 0;  // magnitudes are ordered as their bits are, NaN last
  for (std::size_t i = 0; i < S::lanes; ++i) all = largest[i] > all ? largest[i] : all;
  if (all >= 0x7f800000u) all = 0x7fc00000u;
  float value;
  __builtin_memcpy(&value, &all, sizeof value);
  return value;
}

template <class S, class Element>
void code_inputs(const float* in, std::size_t columns, float threshold, std::byte* out) {
  if (!(threshold > 0.0f)) threshold = __builtin_nanf("");
  CodedInputs header{};
  header.scale = largest_kept<S, Element>(in, columns, threshold);
  // Of magnitudes too small to divide by, codes are 0; and of NaN.
  float factor = 127.0f / header.scale;
  if (!(factor < __builtin_inff())) factor = 0.0f;
  auto* codes = reinterpret_cast<std::uint8_t*>(out) + sizeof header;
  const std::size_t padded = padded_codes(columns);
  auto* bits = reinterpret_cast<std::uint64_t*>(codes + padded);
  __builtin_memset(codes + columns, 0, padded - columns);
  __builtin_memset(bits, 0, (columns + 63) / 64 * sizeof *bits);
  typename S::I sums{};
  walk_vectors<S>(
      in,
      columns, [&](typename S::F v, std::size_t k, std::size_t n) __attribute__((always_inline)) {
        const KeptInputs<S> kept = kept_inputs<S, Element>(v, threshold);
        const typename S::F scaled =
            factor > 0.0f ? kept.values * S::set1(factor) : typename S::F{};
        // Added to 1.5 * 2^23, whose last place is 1, a number is rounded to the nearest, ties to
        // even.
        const typename S::I code = (typename S::I)(scaled + 0x1.8p23f) - 0x4b400000;
        sums += code;
        const typename S::B narrow = S::low_bytes((typename S::U)code);
        __builtin_memcpy(codes + k, &narrow, n);
        const typename S::B flags = S::low_bytes((typename S::U)kept.outliers & 1u);
        std::uint32_t words[S::lanes / 4], any = 0;
        __builtin_memcpy(words, &flags, sizeof words);
        for (const std::uint32_t word : words) any |= word;
        if (any == 0) return;
        for (std::size_t i = 0; i < n; ++i) {
          bits[(k + i) / 64] |= static_cast<std::uint64_t>(flags[i]) << (k + i) % 64;
          header.outliers += flags[i];
        }
      });
  for (std::size_t i = 0; i < S::lanes; ++i) header.sum += sums[i];
  __builtin_memcpy(out, &header, sizeof header);
}

/// Exact sums of products of codes for a vector of lanes; what needs no instruction by name.
template <class S>
struct WidenedCodes {
  using Weights = typename S::I;
  using Inputs = typename S::I;
  using Sums = typename S::I;
  static constexpr std::size_t step = S::lanes;
  static constexpr std::uint32_t weight_offset = 0;  ///< added to each weight
  INITRT_INLINE Weights weights(const std::uint8_t* p) {
    return (typename S::I)(S::widen(p) ^ 128u) - 128;
  }
  INITRT_INLINE Weights weights_tail(const std::uint8_t* p, std::size_t n) {
    std::uint8_t last[step] = {};
    __builtin_memcpy(last, p, n);
    return weights(last);
  }
  INITRT_INLINE Inputs inputs(const std::uint8_t* p) { return weights(p); }
  INITRT_INLINE Sums accumulate(Sums sum, Weights w, Inputs x) { return sum + w * x; }
  INITRT_INLINE Four::U reduce4(Sums a, Sums b, Sums c, Sums d) {
    static_assert(S::lanes == 4);
    using U = Four::U;
    const U ab =
        (U)(__builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7));
    const U cd =
        (U)(__builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7));
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
           __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  }
};

/// Not inlined: all storage types share it, and in one function compilers would take minutes for
/// all sizes of it.
/// @tparam streaming whether what lies `ahead` bytes from the weights is prefetched
template <class Codes, std::size_t rows, bool streaming>
[[gnu::noinline]] void int8_tile(const std::uint8_t* const (&weight)[tile_outputs],
                                 const std::uint8_t* in, std::size_t in_stride, std::size_t columns,
                                 [[maybe_unused]] std::size_t ahead,
                                 std::uint32_t (*out)[tile_outputs]) {
  typename Codes::Sums sums[tile_outputs][rows] = {};
  std::size_t k = 0;
  auto next = reinterpret_cast<std::uintptr_t>(weight[0]) + ahead;
  for (; k + Codes::step <= columns; k += Codes::step) {
    typename Codes::Inputs x[rows];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) x[t] = Codes::inputs(in + t * in_stride + k);
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) {
      const typename Codes::Weights w = Codes::weights(weight[o] + k);
      if constexpr (streaming) {  // in the order of memory
        __builtin_prefetch(reinterpret_cast<const void*>(next + o * Codes::step), 0, 3);
      }
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) sums[o][t] = Codes::accumulate(sums[o][t], w, x[t]);
    }
    if constexpr (streaming) next += tile_outputs * Codes::step;
  }
  if (const std::size_t n = columns - k; n > 0) {
    typename Codes::Inputs x[rows];
#pragma GCC unroll 8
    for (std::size_t t = 0; t < rows; ++t) x[t] = Codes::inputs(in + t * in_stride + k);
#pragma GCC unroll 8
    for (std::size_t o = 0; o < tile_outputs; ++o) {
      const typename Codes::Weights w = Codes::weights_tail(weight[o] + k, n);
#pragma GCC unroll 8
      for (std::size_t t = 0; t < rows; ++t) sums[o][t] = Codes::accumulate(sums[o][t], w, x[t]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t t = 0; t < rows; ++t) {
    const Four::U result = Codes::reduce4(sums[0][t], sums[1][t], sums[2][t], sums[3][t]);
    __builtin_memcpy(out[t], &result, sizeof result);
  }
}

/// int8_tile() for a number of rows known at run time, 1 <= rows <= most.
template <class Codes, bool streaming, std::size_t most>
INITRT_INLINE void int8_tile_of(std::size_t rows, const std::uint8_t* const (&weight)[tile_outputs],
                                const std::uint8_t* in, std::size_t in_stride, std::size_t columns,
                                std::size_t ahead, std::uint32_t (*out)[tile_outputs]) {
  if constexpr (most > 1) {
    if (rows < most) {
      return int8_tile_of<Codes, streaming, most - 1>(rows, weight, in, in_stride, columns, ahead,
                                                      out);
    }
  }
  int8_tile<Codes, most, streaming>(weight, in, in_stride, columns, ahead, out);
}

/// Sums of outliers times dequantized weights, both rounded, in the order of columns.
template <class Element>
INITRT_INLINE F4 outlier_sums(const std::uint64_t* bits, const float* in, std::size_t columns,
                              const std::uint8_t* const (&weight)[tile_outputs], F4 scales) {
  F4 sums{};
  for (std::size_t word = 0; word < (columns + 63) / 64; ++word) {
    for (std::uint64_t left = bits[word]; left != 0; left &= left - 1) {
      const std::size_t k = word * 64 + static_cast<std::size_t>(__builtin_ctzll(left));
      const Four::U codes = {weight[0][k], weight[1][k], weight[2][k], weight[3][k]};
      const F4 w = __builtin_convertvector((Four::I)(codes ^ 128u) - 128, F4) * scales / 127.0f;
      const F4 x = Element::rounded(Four::set1(in[k]));
      sums += x * Element::rounded(w);
    }
  }
  return sums;
}

/// @tparam Element of Four
template <class S, class Element>
void linear_int8(const CodedBlock& block) {
  using Codes = typename S::Int8Codes;
  const auto* in = static_cast<const std::uint8_t*>(block.in);
  const auto* weights = reinterpret_cast<const std::uint8_t*>(block.codes);
  const std::size_t columns = block.in_columns;
  for (std::size_t o = 0; o < block.out_columns; o += tile_outputs) {
    const std::size_t left = block.out_columns - o;
    const std::size_t outputs = left < tile_outputs ? left : tile_outputs;
    const std::uint8_t* rows_of_tile[tile_outputs];
    F4 scales;
    for (std::size_t i = 0; i < tile_outputs; ++i) {  // past the last row, the last row again
      const std::size_t row = o + (i < outputs ? i : outputs - 1);
      float scale;
      __builtin_memcpy(&scale, block.scales + row * block.scale_row_bytes, sizeof scale);
      rows_of_tile[i] = weights + row * block.row_bytes;
      scales[i] = scale;
    }
    for (std::size_t t = 0; t < block.rows; t += S::tile_rows) {
      const std::size_t rows = block.rows - t < S::tile_rows ? block.rows - t : S::tile_rows;
      std::uint32_t sums[S::tile_rows][tile_outputs];
      const std::uint8_t* coded = in + t * block.in_stride_bytes;
      if (t == 0) {
        int8_tile_of<Codes, true, S::tile_rows>(rows, rows_of_tile, coded + sizeof(CodedInputs),
                                                block.in_stride_bytes, columns,
                                                tile_outputs * block.row_bytes, sums);
      } else {
        int8_tile_of<Codes, false, S::tile_rows>(rows, rows_of_tile, coded + sizeof(CodedInputs),
                                                 block.in_stride_bytes, columns, 0, sums);
      }
      for (std::size_t r = 0; r < rows; ++r, coded += block.in_stride_bytes) {
        CodedInputs header;
        __builtin_memcpy(&header, coded, sizeof header);
        Four::U exact;
        __builtin_memcpy(&exact, sums[r], sizeof exact);
        exact -= Codes::weight_offset * static_cast<std::uint32_t>(header.sum);
        F4 result = __builtin_convertvector((Four::I)exact, F4) *
                    (Four::set1(header.scale) * scales / (127.0f * 127.0f));
        if (header.outliers > 0) {
          const auto* bits =
              reinterpret_cast<const std::uint64_t*>(coded + sizeof header + padded_codes(columns));
          result += outlier_sums<Element>(bits, block.floats + (t + r) * columns, columns,
                                          rows_of_tile, scales);
        }
        float* out = block.out + (t + r) * block.out_stride + o;
        for (std::size_t i = 0; i < outputs; ++i) out[i] = result[i];
      }
    }
  }
}

}  // namespace
}  // namespace initrt::cpu
