// What the codes of Nf4 and Fp4 stand for, of a block's largest magnitude: the tables of
// bitsandbytes 0.50.2, in its order of codes.
#pragma once

#include <array>

namespace initrt {

/// Quantiles of a normal distribution (QLoRA, arXiv:2305.14314), in ascending order.
inline constexpr std::array<float, 16> kNf4Values = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/// A sign bit and one of eight magnitudes. Both zeros are positive.
inline constexpr std::array<float, 16> kFp4Values = {
    0.0f, 1.0f / 192,  2.0f / 3,  1.0f,  1.0f / 3,  0.5f,  1.0f / 6,  0.25f,
    0.0f, -1.0f / 192, -2.0f / 3, -1.0f, -1.0f / 3, -0.5f, -1.0f / 6, -0.25f,
};

}  // namespace initrt
