// The decoders of one instruction set and storage type, by format.
#pragma once

#include "runtime/device/cpu/kernels_blocks.h"
#include "runtime/device/cpu/kernels_four_bit.h"

namespace initrt::cpu {
namespace {

template <class S, class Panel>
struct Decoders {
  using Dot = typename Panel::Dot;  ///< what reads the decoded numbers

  template <class Block>
  static consteval Decoder blocks() {
    return {decode_blocks<S, Panel, Block>, nullptr, coded_group / Block::elements * Block::bytes,
            0, nullptr};
  }
  template <class Format>
  static consteval Decoder four_bit() {
    return {decode_four_bit<FourBitBlock<S, Panel>, Format>, nullptr, coded_group / 2,
            coded_group / four_bit_block * sizeof(float),
            Format::coded_scales ? decode_coded_scales : nullptr};
  }
  static consteval Decoder of(std::size_t format) {
    const Decoder decoders[format_count] = {{},  // numbers
                                            {},  // Int8
                                            four_bit<Nf4>(),
                                            four_bit<Fp4>(),
                                            four_bit<Dq<Nf4>>(),
                                            four_bit<Dq<Fp4>>(),
                                            blocks<BlockQ4_0>(),
                                            blocks<BlockQ4_1>(),
                                            blocks<BlockQ8_0>(),
                                            blocks<BlockQ4_K>(),
                                            blocks<BlockQ5_K>(),
                                            blocks<BlockQ6_K>()};
    return decoders[format];
  }
};

}  // namespace
}  // namespace initrt::cpu
