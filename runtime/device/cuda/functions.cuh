// Functions of one number in device code: e^x, and what is made of it. Formulas and order are those
// of cpu/kernels_functions.h, which says where they come from: both devices give the same bits.
#pragma once

#include <cuda_runtime.h>

#include <bit>
#include <cstdint>

namespace initrt::cuda {

/// e^x within 2 units in the last place.
__device__ __forceinline__ float exp(float x) {
  x = x < -104.0f ? -104.0f : x;  // 0 and infinity from here on; a NaN stays
  x = x > 89.0f ? 89.0f : x;
  constexpr float kRound = 0x1.8p23f;
  const float shifted = fmaf(x, 0x1.715476p+0f, kRound);  // log2(e)
  const float n = shifted - kRound;
  const std::uint32_t integer =
      std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound);
  float r = fmaf(n, -0.693359375f, x);
  r = fmaf(n, 2.12194440e-4f, r);
  float p = 1.0f / 5040;
  p = fmaf(p, r, 1.0f / 720);
  p = fmaf(p, r, 1.0f / 120);
  p = fmaf(p, r, 1.0f / 24);
  p = fmaf(p, r, 1.0f / 6);
  p = fmaf(p, r, 0.5f);
  p = fmaf(p * r, r, r) + 1.0f;
  const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(integer) >> 1);
  const auto scale_1 = std::bit_cast<float>((half + 127u) << 23);
  const auto scale_2 = std::bit_cast<float>((integer - half + 127u) << 23);
  return p * scale_1 * scale_2;
}

/// cap * tanh(x / cap).
__device__ __forceinline__ float capped(float x, float cap) {
  return cap - 2.0f * cap / (exp(x * (2.0f / cap)) + 1.0f);
}

struct Silu {
  __device__ __forceinline__ static float of(float x) { return x / (exp(-x) + 1.0f); }
};

struct GeluTanh {
  __device__ __forceinline__ static float of(float x) {
    const float u = fmaf(x * x * x, 0.044715f, x);
    return x / (exp(u * -1.59576912f) + 1.0f);
  }
};

struct QuickGelu {
  __device__ __forceinline__ static float of(float x) { return x / (exp(x * -1.702f) + 1.0f); }
};

struct Sigmoid {
  __device__ __forceinline__ static float of(float x) { return 1.0f / (exp(-x) + 1.0f); }
};

struct Relu2 {
  __device__ __forceinline__ static float of(float x) {
    x = x < 0.0f ? 0.0f : x;  // a NaN stays
    return x * x;
  }
};

/// log(1 + e^x).
__device__ __forceinline__ float softplus(float x) {
  const float t = exp(x < 0.0f ? x : -x);
  const float s = t / (t + 2.0f), square = s * s;
  float p = 1.0f / 15;
  p = fmaf(p, square, 1.0f / 13);
  p = fmaf(p, square, 1.0f / 11);
  p = fmaf(p, square, 1.0f / 9);
  p = fmaf(p, square, 1.0f / 7);
  p = fmaf(p, square, 1.0f / 5);
  p = fmaf(p, square, 1.0f / 3);
  p = fmaf(p, square, 1.0f);
  return (x < 0.0f ? 0.0f : x) + 2.0f * s * p;
}

struct Gelu {
  __device__ __forceinline__ static float of(float x) {
    const float z = (x < 0.0f ? -x : x) * 0.707106781f;
    const float t = 2.5f / (z + 2.5f);
    float p = 0.08668705893f;
    p = fmaf(p, t, -0.4589903112f);
    p = fmaf(p, t, 0.8281225593f);
    p = fmaf(p, t, -0.5533216953f);
    p = fmaf(p, t, 0.5454824057f);
    p = fmaf(p, t, 0.07462487793f);
    p = fmaf(p, t, 0.2552657938f);
    p = fmaf(p, t, 0.2219220662f);
    p = fmaf(p, t, 2.072497035e-4f);
    const float tail = p * exp(-(z * z)) * 0.5f;
    return x < 0.0f ? x * tail : x - x * tail;
  }
};

}  // namespace initrt::cuda
