// Normalisation: a warp or a block for each row, as its columns alone decide. Which thread adds
// which elements, and the tree over threads, go by the number of columns too: never by alignment,
// which a row's place in the batch may change.
#include <algorithm>

#include "runtime/device/cuda/elements.cuh"
#include "runtime/device/cuda/kernels.h"
#include "runtime/device/cuda/launch.h"
#include "runtime/device/cuda/warp.cuh"

namespace initrt::cuda {
namespace {

constexpr unsigned kGroup = 4;  // neighbours that one thread takes

struct NormArguments {
  const float* in;
  const std::byte* weight;  // may be null
  const std::byte* bias;    // may be null
  float* out;
  std::uint64_t rows;
  std::uint64_t block_step;  // elements from block to block of weight and bias
  std::uint32_t columns, block_columns;
  std::uint32_t sets;  // of weights and biases
  float weight_offset, epsilon;
  NormKind kind;
  bool aligned;  // groups of all rows can be accessed at once
};

/// The sum over the `kRowThreads` threads of a row, the same for all of them. A block of several
/// rows has one warp for each.
template <unsigned kRowThreads>
__device__ float sum_over_row(float x) {
  x = sum_over_warp(x);
  if constexpr (kRowThreads > kWarp) {
    __shared__ float of_warps[kRowThreads / kWarp];
    __syncthreads();  // whoever still reads the last sum
    if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = x;
    __syncthreads();
    x = of_warps[0];
#pragma unroll
    for (unsigned warp = 1; warp < kRowThreads / kWarp; ++warp) x += of_warps[warp];
  }
  return x;
}

/// Elements [i, i + kGroup) of a row; 0 from `columns` on.
__device__ __forceinline__ Several<float, kGroup> load_group(const float* from, std::uint32_t i,
                                                             const NormArguments& norm) {
  if (norm.aligned && i < norm.columns) return load<DType::F32, kGroup>(from + i);
  Several<float, kGroup> values;
#pragma unroll
  for (unsigned k = 0; k < kGroup; ++k) {
    values.of[k] = i + k < norm.columns ? from[i + k] : 0.0f;
  }
  return values;
}

/// The same of weight or bias, which lie in blocks. @param first element of the first column
template <DType Type>
__device__ __forceinline__ Several<float, kGroup> load_blocks(
    const typename Element<Type>::Stored* from, std::uint32_t first, std::uint32_t i,
    const NormArguments& norm) {
  const auto at = [&](std::uint32_t column) {
    const std::uint32_t element = first + column;
    return from + element / norm.block_columns * norm.block_step + element % norm.block_columns;
  };
  if (norm.aligned && i < norm.columns) return load<Type, kGroup>(at(i));
  Several<float, kGroup> values;
#pragma unroll
  for (unsigned k = 0; k < kGroup; ++k) {
    values.of[k] = i + k < norm.columns ? Element<Type>::widen(*at(i + k)) : 0.0f;
  }
  return values;
}

/// A row of `kRowThreads` threads, each with the groups `thread`, `thread` + kRowThreads and so on,
/// of which it keeps the first `kKept` in registers and reads the others again.
template <DType Type, unsigned kRowThreads, unsigned kKept>
struct Row {
  const NormArguments& norm;
  const float* in;
  std::uint32_t first_weight, thread;
  Several<float, kGroup> kept[kKept];

  __device__ Row(const NormArguments& arguments, std::uint64_t row)
      : norm(arguments),
        in(arguments.in + row * arguments.columns),
        first_weight(static_cast<std::uint32_t>(row % arguments.sets) * arguments.columns),
        thread(threadIdx.x % kRowThreads) {
#pragma unroll
    for (unsigned group = 0; group < kKept; ++group) {
      kept[group] = load_group(in, first_of(group), norm);
    }
  }

  __device__ __forceinline__ std::uint32_t first_of(unsigned group) const {
    return (group * kRowThreads + thread) * kGroup;
  }

  /// Calls f(first element, group) for each group of this thread.
  template <class F>
  __device__ __forceinline__ void each_group(F f) const {
#pragma unroll
    for (unsigned group = 0; group < kKept; ++group) {
      if (first_of(group) < norm.columns) f(first_of(group), kept[group]);
    }
    for (std::uint32_t i = first_of(kKept); i < norm.columns; i += kRowThreads * kGroup) {
      f(i, load_group(in, i, norm));
    }
  }

  /// The sum over the row of what term(x, sum) adds.
  template <class Term>
  __device__ __forceinline__ float sum_of(Term term) const {
    float sums[kGroup] = {};
    each_group([&](std::uint32_t i, const Several<float, kGroup>& x) {
#pragma unroll
      for (unsigned k = 0; k < kGroup; ++k) {
        if (i + k < norm.columns) sums[k] = term(x.of[k], sums[k]);
      }
    });
    return sum_over_row<kRowThreads>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }

  /// out = (in - mean) * factor * (weight + weight_offset) + bias, or without the last two.
  __device__ __forceinline__ void write(float* out, float mean, float factor) const {
    each_group([&](std::uint32_t i, const Several<float, kGroup>& x) {
      Several<float, kGroup> y;
#pragma unroll
      for (unsigned k = 0; k < kGroup; ++k) y.of[k] = (x.of[k] - mean) * factor;
      if (norm.weight != nullptr) {
        const auto weight = load_blocks<Type>(stored<Type>(norm.weight), first_weight, i, norm);
#pragma unroll
        for (unsigned k = 0; k < kGroup; ++k) y.of[k] *= weight.of[k] + norm.weight_offset;
      }
      if (norm.bias != nullptr) {
        const auto bias = load_blocks<Type>(stored<Type>(norm.bias), first_weight, i, norm);
#pragma unroll
        for (unsigned k = 0; k < kGroup; ++k) y.of[k] += bias.of[k];
      }
      if (norm.aligned) {
        store(out + i, y);
      } else {
#pragma unroll
        for (unsigned k = 0; k < kGroup; ++k) {
          if (i + k < norm.columns) out[i + k] = y.of[k];
        }
      }
    });
  }
};

/// The variance is that of the differences from the mean, in a second pass.
template <DType Type, unsigned kRowThreads, unsigned kKept>
__device__ __forceinline__ void norm_row(const NormArguments& norm, std::uint64_t number) {
  const Row<Type, kRowThreads, kKept> row(norm, number);
  const auto columns = static_cast<float>(norm.columns);
  float mean = 0;
  if (norm.kind == NormKind::Layer) {
    mean = row.sum_of([](float x, float sum) { return sum + x; }) / columns;
  }
  const float variance =
      row.sum_of([mean](float x, float sum) { return fmaf(x - mean, x - mean, sum); }) / columns;
  row.write(norm.out + number * norm.columns, mean, 1.0f / sqrtf(variance + norm.epsilon));
}

template <DType Type, unsigned kRowThreads, unsigned kRowsOfBlock, unsigned kKept>
__global__ void __launch_bounds__(kRowThreads* kRowsOfBlock) norm_rows(NormArguments norm) {
  for (std::uint64_t row = std::uint64_t{blockIdx.x} * kRowsOfBlock + threadIdx.x / kRowThreads;
       row < norm.rows; row += std::uint64_t{gridDim.x} * kRowsOfBlock) {
    norm_row<Type, kRowThreads, kKept>(norm, row);
  }
}

template <DType Type, unsigned kRowThreads, unsigned kRowsOfBlock, unsigned kKept>
void launch_norm(cudaStream_t stream, const NormArguments& norm) {
  constexpr std::uint64_t kBlocks = std::uint64_t{1} << 20;
  const std::uint64_t blocks = (norm.rows + kRowsOfBlock - 1) / kRowsOfBlock;
  launch<norm_rows<Type, kRowThreads, kRowsOfBlock, kKept>>(
      static_cast<unsigned>(std::min(blocks, kBlocks)), kRowThreads * kRowsOfBlock, 0, stream,
      norm);
}

}  // namespace

void norm(cudaStream_t stream, NormKind kind, const float* in, const NormWeights& weights,
          float epsilon, float* out, std::uint64_t rows, std::uint64_t columns) {
  if (rows == 0 || columns == 0) return;
  const std::uint64_t block = std::min(weights.weight.rows, columns * weights.sets);
  const bool aligned = aligned_16(in, out, weights.weight.base, weights.bias.base) &&
                       columns % kGroup == 0 && block % kGroup == 0;
  const NormArguments norm{in,
                           weights.weight.base,
                           weights.bias.base,
                           out,
                           rows,
                           weights.weight.stride / bytes_of(weights.dtype, 1),
                           static_cast<std::uint32_t>(columns),
                           static_cast<std::uint32_t>(block),
                           static_cast<std::uint32_t>(weights.sets),
                           weights.weight_offset,
                           epsilon,
                           kind,
                           aligned};
  with_dtype(weights.dtype, [&]<DType Type>() {
    if (columns <= 128) {
      launch_norm<Type, 32, 8, 1>(stream, norm);
    } else if (columns <= 1024) {
      launch_norm<Type, 32, 4, 8>(stream, norm);
    } else if (columns <= 4096) {
      launch_norm<Type, 256, 1, 4>(stream, norm);
    } else {
      launch_norm<Type, 1024, 1, 8>(stream, norm);
    }
  });
}

}  // namespace initrt::cuda
