// Codes of four bits to numbers, for every instruction set: the table of a block is its entries
// times the block's scale, rounded; each code then picks one.
#pragma once

#include "runtime/convert/dynamic_map.h"
#include "runtime/convert/four_bit.h"
#include "runtime/device/cpu/kernels_blocks.h"

namespace initrt::cpu {
namespace {

struct Nf4 {
  static constexpr const float* values = kNf4Values.data();
  static constexpr bool coded_scales = false;
};
struct Fp4 {
  static constexpr const float* values = kFp4Values.data();
  static constexpr bool coded_scales = false;
};
/// A format whose scales are codes (CodedScaleRow).
template <class Format>
struct Dq {
  static constexpr const float* values = Format::values;
  static constexpr bool coded_scales = true;
};

/// A Decoder's decode_scales().
void decode_coded_scales(const std::byte* row, std::size_t columns, std::size_t first,
                         std::size_t count, float* __restrict out) {
  const float* map = dynamic_map();
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(row);
  const std::uint8_t* codes = bytes + scale_codes_at;
  const std::uint8_t* magnitudes = codes + (columns + four_bit_block - 1) / four_bit_block;
  float offset;
  __builtin_memcpy(&offset, bytes, sizeof offset);
  for (std::size_t i = 0; i < count;) {
    const std::size_t at = bytes[scale_phase_at] + first + i;  // in the row's first block
    const std::size_t left = scale_block - at % scale_block;
    const std::size_t end = count - i < left ? count : i + left;
    float magnitude;
    __builtin_memcpy(&magnitude, magnitudes + at / scale_block * sizeof magnitude,
                     sizeof magnitude);
    for (; i < end; ++i) out[i] = map[codes[first + i]] * magnitude + offset;
  }
}

/// The codes of a row's last block, with zeros behind them.
struct LastCodes {
  std::uint8_t bytes[four_bit_block / 2];
  INITRT_INLINE LastCodes of(const std::uint8_t* codes, std::size_t elements) {
    LastCodes last{};
    __builtin_memcpy(last.bytes, codes, (elements + 1) / 2);
    return last;
  }
};

/// A Decode (kernels.h) whose blocks `Block::decode(codes, scale, table, out)` decodes. What is
/// behind a row's last element is written too, up to the end of its block.
template <class Block, class Format>
void decode_four_bit(const std::byte* codes, const std::byte* scales, std::size_t columns,
                     std::size_t ahead, void* out) {
  const auto* from = reinterpret_cast<const std::uint8_t*>(codes);
  auto* to = static_cast<typename Block::Number*>(out);
  for (std::size_t k = 0; k < columns; k += four_bit_block) {
    float scale;
    __builtin_memcpy(&scale, scales + k / four_bit_block * sizeof scale, sizeof scale);
    const std::uint8_t* block = from + k / 2;
    prefetch<four_bit_block / 2>(block, ahead);
    if (const std::size_t left = columns - k; left < four_bit_block) {
      const LastCodes last = LastCodes::of(block, left);
      Block::decode(last.bytes, scale, Format::values, to + k);
    } else {
      Block::decode(block, scale, Format::values, to + k);
    }
  }
}

template <class S, class Panel>
struct FourBitBlock {
  using Number = typename Panel::Number;
  INITRT_INLINE void decode(const std::uint8_t* codes, float scale, const float* values,
                            Number* out) {
    float table[16];
    for (std::size_t i = 0; i < 16; i += S::lanes) {
      Panel::put(table + i, S::load(values + i) * S::set1(scale));
    }
    for (std::size_t i = 0; i < four_bit_block / 2; i += S::lanes) {
      S::look_up_halves(table, codes + i, out + 2 * i);
    }
  }
};

}  // namespace
}  // namespace initrt::cpu
