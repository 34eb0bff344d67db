// What the codes of Nf4 and Fp4 stand for, as shares of their block's largest magnitude: the same
// float32 numbers as in bitsandbytes (QLoRA, arXiv:2305.14314, appendix E).
#pragma once

#include <array>

namespace initrt {

/// Quantiles of a normal distribution, ascending.
inline constexpr std::array<float, 16> kNf4Values = {
    -0x1.000000p+0f, -0x1.647362p-1f, -0x1.0cd660p-1f, -0x1.946540p-2f,
    -0x1.23449ap-2f, -0x1.7a6a7ep-3f, -0x1.74f0e2p-4f, 0.0f,
    0x1.45f5fep-4f,  0x1.4995c6p-3f,  0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c34970p-2f,  0x1.200f56p-1f,  0x1.722766p-1f,  0x1.000000p+0f,
};

/// Twelfths: a sign bit, then 0, 1/16, 8, 12, 4, 6, 2 and 3.
inline constexpr std::array<float, 16> kFp4Values = {
    0.0f, 0.0625f / 12,  8.0f / 12,  1.0f,  4.0f / 12,  0.5f,  2.0f / 12,  0.25f,
    0.0f, -0.0625f / 12, -8.0f / 12, -1.0f, -4.0f / 12, -0.5f, -2.0f / 12, -0.25f,
};

}  // namespace initrt
