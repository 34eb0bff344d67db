// The inner loops of dequantize.cpp: codes to float32, and floats times their scales. Compiled once
// for each instruction set.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "runtime/convert/decode.h"

namespace initrt::dequantize_detail {

/// Codes of a row-major matrix, but for floats, which convert() reads.
enum class Code : std::uint8_t { I8, HighNibbles, LowNibbles, Ints2, Ints4, Ints8 };

/// Codes of columns: several neighbours down (GPTQ) or across (AWQ) are in a word.
enum class Packing : std::uint8_t { Down, Across };

/// Scales of one row.
struct RowScales {
  const float* scales = nullptr;
  const float* zeros = nullptr;
  const std::uint32_t* order = nullptr;  ///< the group of each column, or null
  std::uint64_t block = 1;               ///< columns of a group
  std::uint64_t skip = 0;                ///< columns of the first group that are another row's
  float factor = 1.0f;                   ///< behind the scale
};

/// `columns` codes from number `first` at `in` on. @param table of 16 floats, for nibbles
template <Code Kind>
INITRT_INLINE void decode_row(const std::byte* in, std::uint64_t first, std::uint64_t columns,
                              const float* table, float* out) {
  if constexpr (Kind == Code::I8) {
    for (std::uint64_t i = 0; i < columns; ++i) {
      out[i] = static_cast<float>(decode::load<std::int8_t>(in + i));
    }
  } else if constexpr (Kind == Code::HighNibbles || Kind == Code::LowNibbles) {
    const std::uint32_t odd = Kind == Code::HighNibbles ? 0 : 4, even = 4 - odd;
    std::uint64_t i = 0;
    if (first % 2 != 0 && columns > 0) {
      out[i++] = table[decode::u8(in + first / 2) >> odd & 15];
    }
    const std::byte* byte = in + (first + i) / 2;
    for (; i + 1 < columns; i += 2, ++byte) {
      out[i] = table[decode::u8(byte) >> even & 15];
      out[i + 1] = table[decode::u8(byte) >> odd & 15];
    }
    if (i < columns) out[i] = table[decode::u8(byte) >> even & 15];
  } else {
    constexpr std::uint32_t kBits = Kind == Code::Ints2 ? 2 : Kind == Code::Ints4 ? 4 : 8;
    constexpr std::uint32_t kPerByte = 8 / kBits;
    constexpr std::int32_t kHalf = 1 << (kBits - 1), kMask = (1 << kBits) - 1;
    const std::uint64_t whole = columns / kPerByte;
    for (std::uint64_t byte = 0; byte < whole; ++byte) {
      const auto codes = static_cast<std::int32_t>(decode::u8(in + byte));
      for (std::uint32_t j = 0; j < kPerByte; ++j) {
        out[byte * kPerByte + j] = static_cast<float>((codes >> (j * kBits) & kMask) - kHalf);
      }
    }
    for (std::uint64_t i = whole * kPerByte; i < columns; ++i) {
      const auto codes = static_cast<std::int32_t>(decode::u8(in + whole));
      out[i] = static_cast<float>((codes >> (i % kPerByte * kBits) & kMask) - kHalf);
    }
  }
}

/// Where in an AWQ word the code of each of its eight columns is.
inline constexpr std::uint32_t kAwqPlaces[8] = {0, 4, 1, 5, 2, 6, 3, 7};

/// Codes [in, out], some columns and output rows of them, as floats.
struct CodeColumns {
  const std::byte* in = nullptr;
  std::uint64_t words = 0;  ///< of a row of codes
  std::uint64_t skip = 0;   ///< output rows before the first, in `in`
  std::uint64_t rows = 0;   ///< output rows
  std::uint64_t columns = 0;
};

/// Columns that are decoded at once: an output row's are a cache line, and the lines of codes that
/// these are in hold other output rows', too, whose turn comes next.
inline constexpr std::uint64_t kColumnTile = 16;

/// `tile` columns from `start` on. @param out [rows, columns]
template <std::uint32_t Bits>
INITRT_INLINE void decode_down(const CodeColumns& codes, std::uint64_t start, std::uint64_t tile,
                               float* out) {
  constexpr std::uint32_t kPerWord = 32 / Bits, kMask = (1u << Bits) - 1;
  const std::byte* const in = codes.in + (start / kPerWord * codes.words + codes.skip) * 4;
  for (std::uint64_t row = 0; row < codes.rows; ++row) {
    float* to = out + row * codes.columns + start;
    for (std::uint64_t k = 0; k < tile / kPerWord; ++k, to += kPerWord) {
      const auto word = decode::load<std::uint32_t>(in + (k * codes.words + row) * 4);
      for (std::uint32_t j = 0; j < kPerWord; ++j) {
        to[j] = static_cast<float>(static_cast<std::int32_t>(word >> (j * Bits) & kMask));
      }
    }
  }
}
INITRT_INLINE void decode_across(const CodeColumns& codes, std::uint64_t start, std::uint64_t tile,
                                 float* out) {
  const std::byte* const in = codes.in + start * codes.words * 4;
  std::uint32_t words[kColumnTile];
  for (std::uint64_t row = 0; row < codes.rows;) {
    const std::uint64_t place = codes.skip + row;
    const std::byte* const word = in + place / 8 * 4;
    for (std::uint64_t k = 0; k < tile; ++k) {
      words[k] = decode::load<std::uint32_t>(word + k * codes.words * 4);
    }
    const std::uint64_t end = std::min(codes.rows, row + 8 - place % 8);
    for (; row < end; ++row) {
      const std::uint32_t shift = kAwqPlaces[(codes.skip + row) % 8] * 4;
      float* const to = out + row * codes.columns + start;
      for (std::uint64_t k = 0; k < tile; ++k) {
        to[k] = static_cast<float>(static_cast<std::int32_t>(words[k] >> shift & 15));
      }
    }
  }
}

template <Packing Kind, std::uint32_t Bits>
INITRT_INLINE void decode_tile(const CodeColumns& codes, std::uint64_t start, std::uint64_t tile,
                               float* out) {
  if constexpr (Kind == Packing::Down) {
    decode_down<Bits>(codes, start, tile, out);
  } else {
    decode_across(codes, start, tile, out);
  }
}
template <Packing Kind, std::uint32_t Bits>
INITRT_INLINE void decode_columns(const CodeColumns& codes, float* out) {
  std::uint64_t start = 0;
  for (; start + kColumnTile <= codes.columns; start += kColumnTile) {
    decode_tile<Kind, Bits>(codes, start, kColumnTile, out);
  }
  if (start < codes.columns) {
    decode_tile<Kind, Bits>(codes, start, codes.columns - start, out);
  }
}

/// row = (row - zero) * scale * factor, each step rounded.
INITRT_INLINE void scale_row(const RowScales& with, std::uint64_t columns, float* row) {
  if (with.order != nullptr) {
    for (std::uint64_t i = 0; i < columns; ++i) {
      const std::uint32_t group = with.order[i];
      row[i] = (row[i] - with.zeros[group]) * with.scales[group] * with.factor;
    }
    return;
  }
  std::uint64_t group = 0, begin = 0;
  std::uint64_t end = std::min(columns, with.block - with.skip);
  while (begin < columns) {
    const float zero = with.zeros[group], scale = with.scales[group];
    for (std::uint64_t i = begin; i < end; ++i) row[i] = (row[i] - zero) * scale * with.factor;
    begin = end;
    end = columns - end < with.block ? columns : end + with.block;
    ++group;
  }
}

}  // namespace initrt::dequantize_detail
