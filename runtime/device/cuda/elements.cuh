// Elements of the dtypes that units and KV caches have, as device code reads and writes them: one
// by one, or several at once where they are aligned.
#pragma once

#include <cuda_runtime.h>
#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

#include <cstddef>
#include <cstdint>

#include "runtime/convert/decode.h"
#include "runtime/device/cuda/check.h"
#include "sharding/dtype.h"

namespace initrt::cuda {

/// How a dtype's elements are stored, and what they are in float32.
template <DType Type>
struct Element;
template <>
struct Element<DType::F32> {
  using Stored = float;
  __device__ __forceinline__ static float widen(float x) { return x; }
  __device__ __forceinline__ static float narrow(float x) { return x; }
};
template <>
struct Element<DType::F16> {
  using Stored = std::uint16_t;
  __device__ __forceinline__ static float widen(std::uint16_t x) { return decode::from_f16(x); }
  __device__ __forceinline__ static std::uint16_t narrow(float x) { return decode::to_f16(x); }
};
template <>
struct Element<DType::BF16> {
  using Stored = std::uint16_t;
  __device__ __forceinline__ static float widen(std::uint16_t x) { return decode::from_bf16(x); }
  __device__ __forceinline__ static std::uint16_t narrow(float x) { return decode::to_bf16(x); }
};

/// The same as Element<Type>::widen(), by the instruction that is there for it.
template <DType Type>
__device__ __forceinline__ float widen_quickly(typename Element<Type>::Stored x) {
#ifdef __CUDACC__
  if constexpr (Type == DType::F16) return __half2float(__ushort_as_half(x));
#endif
  return Element<Type>::widen(x);
}

/// Calls f.template operator()<dtype>(). @throws Error where it is not F32, F16 or BF16
template <class F>
void with_dtype(DType dtype, F f) {
  switch (dtype) {
    case DType::F32:
      return f.template operator()<DType::F32>();
    case DType::F16:
      return f.template operator()<DType::F16>();
    case DType::BF16:
      return f.template operator()<DType::BF16>();
    default:
      check(cudaErrorInvalidValue, "choosing a kernel by dtype, expected F32, F16 or BF16");
  }
}

/// `kCount` neighbours, moved as one or two accesses of at most 16 bytes.
template <class T, int kCount>
struct alignas(kCount * sizeof(T) < 16 ? kCount * sizeof(T) : 16) Several {
  T of[kCount];
};

/// @param from aligned to what is read, at most 16 bytes
template <DType Type, int kCount>
__device__ __forceinline__ Several<float, kCount> load(const typename Element<Type>::Stored* from) {
  const auto stored =
      *reinterpret_cast<const Several<typename Element<Type>::Stored, kCount>*>(from);
  Several<float, kCount> values;
#pragma unroll
  for (int i = 0; i < kCount; ++i) values.of[i] = Element<Type>::widen(stored.of[i]);
  return values;
}
template <int kCount>
__device__ __forceinline__ Several<float, kCount> load(const float* from) {
  return load<DType::F32, kCount>(from);
}

template <DType Type, int kCount>
__device__ __forceinline__ void store(typename Element<Type>::Stored* to,
                                      const Several<float, kCount>& values) {
  Several<typename Element<Type>::Stored, kCount> stored;
#pragma unroll
  for (int i = 0; i < kCount; ++i) stored.of[i] = Element<Type>::narrow(values.of[i]);
  *reinterpret_cast<Several<typename Element<Type>::Stored, kCount>*>(to) = stored;
}
template <int kCount>
__device__ __forceinline__ void store(float* to, const Several<float, kCount>& values) {
  store<DType::F32, kCount>(to, values);
}

/// Whether all pointers are aligned for accesses of 16 bytes; null is.
template <class... T>
bool aligned_16(const T*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

template <DType Type>
__host__ __device__ const typename Element<Type>::Stored* stored(const std::byte* bytes) {
  return reinterpret_cast<const typename Element<Type>::Stored*>(bytes);
}
template <DType Type>
__host__ __device__ typename Element<Type>::Stored* stored(std::byte* bytes) {
  return reinterpret_cast<typename Element<Type>::Stored*>(bytes);
}

}  // namespace initrt::cuda
