// Ops that take each element by itself, wherever it is.
#include <bit>
#include <limits>

#include "runtime/device/cuda/elements.cuh"
#include "runtime/device/cuda/functions.cuh"
#include "runtime/device/cuda/grid.cuh"
#include "runtime/device/cuda/kernels.h"

namespace initrt::cuda {
namespace {

/// Neighbours that conversions to and from 16 bits do at once: 16 bytes of those.
constexpr int kConverted = 8;

template <DType Type>
struct ToFloat {
  const typename Element<Type>::Stored* in;
  float* out;

  template <int kCount>
  __device__ void at(std::uint64_t i) const {
    store(out + i, load<Type, kCount>(in + i));
  }
};

template <DType Type>
struct RoundTo {
  const float* in;
  typename Element<Type>::Stored* out;

  template <int kCount>
  __device__ void at(std::uint64_t i) const {
    store<Type>(out + i, load<kCount>(in + i));
  }
};

template <DType Type>
struct Random {
  typename Element<Type>::Stored* out;
  std::uint32_t seed;

  template <int kCount>
  __device__ void at(std::uint64_t i) const {
    Several<float, kCount> y;
#pragma unroll
    for (int k = 0; k < kCount; ++k) y.of[k] = number(i + k);
    store<Type>(out + i, y);
  }

  /// In [-1, 1), by the finalizer of MurmurHash3.
  __device__ float number(std::uint64_t i) const {
    std::uint64_t bits = i + (std::uint64_t{seed} << 48);
    bits = (bits ^ bits >> 33) * 0xff51afd7ed558ccdull;
    bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53ull;
    return static_cast<float>(static_cast<std::int32_t>((bits ^ bits >> 33) >> 32)) * 0x1p-31f;
  }
};

struct Differ {
  const float* a;  // bits of any kind
  const float* b;
  std::uint32_t* differ;

  template <int kCount>
  __device__ void at(std::uint64_t i) const {
    const auto x = load<kCount>(a + i);
    const auto y = load<kCount>(b + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      if (std::bit_cast<std::uint32_t>(x.of[k]) != std::bit_cast<std::uint32_t>(y.of[k])) {
        *differ = 1;
      }
    }
  }
};

/// x, no less than `lowest` nor more than `highest`, plus `offset`; a NaN stays.
__device__ __forceinline__ float limited(float x, float lowest, float highest, float offset) {
  x = x < lowest ? lowest : x;
  return (x > highest ? highest : x) + offset;
}

template <class Function>
struct Gate {
  const float* gate;
  const float* up;  // may be null
  float* out;
  float limit, up_offset;

  template <int kCount>
  __device__ void at(std::uint64_t i) const {
    auto y = load<kCount>(gate + i);
    const bool plain = limit == 0 && up_offset == 0;
    const float infinity = std::numeric_limits<float>::infinity();
    const float most = limit != 0 ? limit : infinity;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      y.of[k] = Function::of(plain ? y.of[k] : limited(y.of[k], -infinity, most, 0));
    }
    if (up != nullptr) {
      auto x = load<kCount>(up + i);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        y.of[k] *= plain ? x.of[k] : limited(x.of[k], -most, most, up_offset);
      }
    }
    store(out + i, y);
  }
};

struct Add {
  const float* x;
  float* into;

  template <int kCount>
  __device__ void at(std::uint64_t i) const {
    auto sum = load<kCount>(into + i);
    const auto term = load<kCount>(x + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) sum.of[k] += term.of[k];
    store(into + i, sum);
  }
};

struct Scale {
  float* x;
  float factor;

  template <int kCount>
  __device__ void at(std::uint64_t i) const {
    auto y = load<kCount>(x + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) y.of[k] = factor == 0 ? 0.0f : y.of[k] * factor;
    store(x + i, y);
  }
};

struct ScaleBy {
  const float* factor;
  float* x;

  template <int kCount>
  __device__ void at(std::uint64_t i) const {
    auto y = load<kCount>(x + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) y.of[k] *= *factor;
    store(x + i, y);
  }
};

struct GateRow {
  const float* gate;
  float* x;
  std::uint64_t columns;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t column) const {
    float* const place = x + row * columns + column;
    const float factor = Sigmoid::of(gate[row]);
    auto y = load<kCount>(place);
#pragma unroll
    for (int k = 0; k < kCount; ++k) y.of[k] *= factor;
    store(place, y);
  }
};

struct Softcap {
  float* x;
  std::uint64_t stride;
  float cap;

  template <int kCount>
  __device__ void at(std::uint64_t row, std::uint64_t column) const {
    float* const place = x + row * stride + column;
    auto y = load<kCount>(place);
#pragma unroll
    for (int k = 0; k < kCount; ++k) y.of[k] = capped(y.of[k], cap);
    store(place, y);
  }
};

}  // namespace

void to_float(cudaStream_t stream, const std::byte* in, DType dtype, float* out,
              std::uint64_t elements) {
  with_dtype(dtype, [&]<DType Type>() {
    launch_each<kConverted>(stream, ToFloat<Type>{stored<Type>(in), out}, elements,
                            aligned_16(in, out));
  });
}

void round_to(cudaStream_t stream, const float* in, DType dtype, std::byte* out,
              std::uint64_t elements) {
  with_dtype(dtype, [&]<DType Type>() {
    launch_each<kConverted>(stream, RoundTo<Type>{in, stored<Type>(out)}, elements,
                            aligned_16(in, out));
  });
}

void fill_random(cudaStream_t stream, DType dtype, std::byte* out, std::uint64_t elements,
                 std::uint32_t seed) {
  with_dtype(dtype, [&]<DType Type>() {
    launch_each<kConverted>(stream, Random<Type>{stored<Type>(out), seed}, elements,
                            aligned_16(out));
  });
}

void note_difference(cudaStream_t stream, const std::byte* a, const std::byte* b,
                     std::uint64_t bytes, std::uint32_t* differ) {
  launch_each(stream,
              Differ{reinterpret_cast<const float*>(a), reinterpret_cast<const float*>(b), differ},
              bytes / sizeof(float), aligned_16(a, b));
}

void gate(cudaStream_t stream, const Gating& gating, const float* gate, const float* up, float* out,
          std::uint64_t elements) {
  const auto launch = [&]<class Function>() {
    launch_each(stream, Gate<Function>{gate, up, out, gating.limit, gating.up_offset}, elements,
                aligned_16(gate, up, out));
  };
  switch (gating.function) {
    case GateFunction::Silu:
      return launch.template operator()<Silu>();
    case GateFunction::Gelu:
      return launch.template operator()<Gelu>();
    case GateFunction::GeluTanh:
      return launch.template operator()<GeluTanh>();
    case GateFunction::QuickGelu:
      return launch.template operator()<QuickGelu>();
    case GateFunction::Sigmoid:
      return launch.template operator()<Sigmoid>();
    case GateFunction::Relu2:
      return launch.template operator()<Relu2>();
  }
}

void gate_rows(cudaStream_t stream, const float* gate, float* x, std::uint64_t rows,
               std::uint64_t columns) {
  launch_each_of_rows(stream, GateRow{gate, x, columns}, rows, columns,
                      aligned_16(x) && columns % kVector == 0);
}

void add(cudaStream_t stream, const float* x, float* into, std::uint64_t elements) {
  launch_each(stream, Add{x, into}, elements, aligned_16(x, into));
}

void scale(cudaStream_t stream, float* x, float factor, std::uint64_t elements) {
  launch_each(stream, Scale{x, factor}, elements, aligned_16(x));
}

void scale_by(cudaStream_t stream, const float* factor, float* x, std::uint64_t elements) {
  launch_each(stream, ScaleBy{factor, x}, elements, aligned_16(x));
}

void softcap(cudaStream_t stream, float* x, float cap, std::uint64_t rows, std::uint64_t columns,
             std::uint64_t stride) {
  launch_each_of_rows(stream, Softcap{x, stride, cap}, rows, columns,
                      aligned_16(x) && stride % kVector == 0);
}

}  // namespace initrt::cuda
