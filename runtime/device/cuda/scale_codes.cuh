// Scales of four-bit weights that are codes themselves, as a FourBit (coded_formats.cuh) finds
// them: with the operations of decode_scales() (runtime/convert/scale_codes.h), in their order.
#pragma once

#include "runtime/convert/decode.h"
#include "runtime/convert/make_dynamic_map.h"
#include "runtime/device/cuda/coded_formats.cuh"
#include "sharding/weight_format.h"

namespace initrt::cuda {

// Not constant memory, which lanes that look at different places read one after the other.
__device__ constexpr DynamicMap kDynamicMap = make_dynamic_map();

/// Rows are CodedScaleRow, of any alignment.
struct ScaleCodes {
  __device__ __forceinline__ static float at(const RowScales& row, std::uint32_t block) {
    const std::byte* const codes = row.scales + CodedScaleRow::kCodes;
    // Counted from where the row's first block of scales begins.
    const std::uint32_t scale = decode::u8(row.scales + CodedScaleRow::kPhase) + block;
    const auto magnitude =
        decode::load<float>(codes + row.count + scale / kScaleBlock * sizeof(float));
    const auto offset = decode::load<float>(row.scales);
    return kDynamicMap.of[decode::u8(codes + block)] * magnitude + offset;
  }
};

}  // namespace initrt::cuda
